//! CREATE, DROP, RENAME, TRUNCATE.

use super::{Known, mariadb, mysql};

#[test]
fn columns_of_every_type_as_the_server_writes_them() {
    let mut known = Known::default();
    known.run(
        mysql(),
        "CREATE TABLE t (a INT(11) NOT NULL AUTO_INCREMENT, b INTEGER UNSIGNED, c BOOL DEFAULT true, d DEC, e NUMERIC(5),
         f FLOAT(30), g DOUBLE PRECISION NOT NULL, h CHAR, i VARCHAR(10) BINARY, j NATIONAL VARCHAR(3), k LONG,
         l TEXT CHARACTER SET latin1, m CHAR(3) CHARACTER SET binary, n ENUM('a','it''s') COLLATE latin1_bin, o JSON,
         p TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), q YEAR, r BIT,
         s INT AS (a+1) STORED, u SERIAL, v DECIMAL(10,2) ZEROFILL, w VARBINARY(3) COMMENT 'a, b) c',
         x GEOMETRY SRID 4326, y INT8, z MEDIUMINT UNSIGNED CHECK (z > 0), `key` TEXT(300), period INT,
         PRIMARY KEY (a), UNIQUE KEY uk (b), KEY (c), CONSTRAINT fk FOREIGN KEY (b) REFERENCES o (x) ON DELETE CASCADE
        ) ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='x, (y'",
    );
    let expected = "a int(11)!, b int unsigned, c tinyint(1), d decimal(10,0), e decimal(5,0), f double, g double!, \
         h char(1)/latin1, i varchar(10)/latin1, j varchar(3)/utf8mb3, k mediumtext/latin1, l text/latin1, m binary(3), \
         n enum('a','it''s')/latin1, o json, p timestamp(3), q year, r bit(1), s int, u bigint unsigned!, \
         v decimal(10,2) unsigned zerofill, w varbinary(3), x geometry, y bigint, z mediumint unsigned, \
         key text/latin1, period int [a]";
    assert_eq!(known.shape("t"), expected);
    assert_eq!(known.0[&super::name("t")].columns().field(18).metadata()["source.generated"], "stored");
}

#[test]
fn mariadb_has_types_of_its_own() {
    let mut known = Known::default();
    known.run(
        mariadb(),
        "CREATE OR REPLACE TABLE t (j JSON, u UUID PRIMARY KEY, i INET6, y YEAR, v VARCHAR(9) COMPRESSED)",
    );
    let expected = "j longtext/utf8mb4, u uuid!, i inet6, y year(4), v varchar(9)/utf8mb4 [u]";
    assert_eq!(known.shape("t"), expected);
}

#[test]
fn the_key_is_the_primary_one_or_the_shortest_without_nulls() {
    let mut known = Known::default();
    for (sql, expected) in [
        ("CREATE TABLE t (a int, b int, PRIMARY KEY USING BTREE (b, a))", "a int!, b int! [b,a]"),
        (
            "CREATE TABLE t (a int, b int not null, c int not null, UNIQUE (b,c), UNIQUE z (c))",
            "a int, b int!, c int! [c]",
        ),
        ("CREATE TABLE t (a int UNIQUE, b int)", "a int, b int []"),
        ("CREATE TABLE t (A varchar(30), PRIMARY KEY (a(10)))", "A varchar(30)/utf8mb4! [A]"),
    ] {
        known.run(mysql(), sql);
        assert_eq!(known.shape("t"), expected, "{sql}");
    }
}

#[test]
fn tables_like_others_and_tables_from_queries() {
    let mut known = Known::default();
    assert_eq!(
        known.run(mysql(), "CREATE TABLE t (id int primary key) ;; CREATE TABLE u LIKE t"),
        ["create t", "create u"]
    );
    assert_eq!(known.shape("u"), "id int! [id]");
    assert_eq!(known.run(mysql(), "CREATE TABLE IF NOT EXISTS t (other int)"), Vec::<String>::new());
    assert_eq!(known.run(mysql(), "CREATE TABLE v (LIKE unknown)"), ["undescribed v"]);
    assert_eq!(known.run(mysql(), "CREATE TABLE w AS SELECT * FROM t"), ["undescribed w"]);
    assert_eq!(known.run(mysql(), "CREATE TABLE x (a int) SELECT 1 AS b"), ["undescribed x"]);
    // As MySQL 8 logs CREATE … SELECT with all columns.
    assert_eq!(known.run(mysql(), "CREATE TABLE `y` (`a` int DEFAULT NULL) START TRANSACTION"), ["create y"]);
    assert_eq!(known.run(mariadb(), "CREATE OR REPLACE TABLE t (id int)"), ["drop table t", "create t"]);
}

#[test]
fn renames_in_one_statement_follow_each_other() {
    let mut known = Known::default();
    known.run(mysql(), "CREATE TABLE a (a int) ;; CREATE TABLE b (b int)");
    let done = known.run(mysql(), "RENAME TABLE a TO tmp, b TO a, tmp TO d.b");
    assert_eq!(done, ["rename table a> tmp", "rename table b> a", "rename table tmp> b"]);
    assert_eq!((known.shape("a"), known.shape("b")), ("b int []".into(), "a int []".into()));
    assert_eq!(known.run(mysql(), "ALTER TABLE a ADD c int, RENAME AS z"), ["add c a", "rename table a> z"]);
    assert_eq!(known.run(mysql(), "RENAME TABLE nobody TO a"), ["undescribed a"]);
}

#[test]
fn a_ghost_takes_the_place_of_its_table() {
    let mut known = Known::default();
    known.run(mysql(), "CREATE TABLE t (id int primary key, v int)");
    let before = known.0[&super::name("t")].clone();
    known.run(
        mysql(),
        "create /* gh-ost */ table `d`.`_t_gho` like `d`.`t` ;; alter /* gh-ost */ table `d`.`_t_gho` add column w varchar(5)",
    );
    let done = known.run(mysql(), "rename /* gh-ost */ table `d`.`t` to `d`.`_t_del`, `d`.`_t_gho` to `d`.`t`");
    assert_eq!(done, ["rename table t> _t_del", "rename table _t_gho> t"]);
    let steps = super::super::difference(&before, &known.0[&super::name("t")]).unwrap();
    let changes: Vec<_> = steps.iter().map(|(_, change)| super::shown(change)).collect();
    assert_eq!(changes, ["add w"]);
    assert_eq!(steps[0].0.version(), before.version() + 1);
}

#[test]
fn tables_that_go_or_lose_rows() {
    let mut known = Known::default();
    known.run(mysql(), "CREATE TABLE a (a int) ;; CREATE TABLE b (b int) ;; CREATE TABLE o.c (c int)");
    assert_eq!(known.run(mysql(), "TRUNCATE a"), ["truncate a"]);
    assert_eq!(known.run(mysql(), "DROP TABLE a, unknown, b"), ["drop table a", "drop table b"]);
    assert_eq!(known.run(mysql(), "DROP DATABASE IF EXISTS `o`"), ["drop table c"]);
    assert!(known.0.is_empty());
}
