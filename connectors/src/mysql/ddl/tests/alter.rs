//! ALTER TABLE and the index statements.

use super::{ApplySettings, Known, Statement, ZeroDates, apply, mysql, parse};

/// Runs statements on `t (id int primary key, a int, b varchar(5), c int)`.
fn altered(statements: &str) -> (Vec<String>, String) {
    let mut known = Known::default();
    known.run(mysql(), "CREATE TABLE t (id int primary key, a int, b varchar(5), c int) DEFAULT CHARSET latin1");
    let done = known.run(mysql(), statements);
    (done, known.shape("t"))
}

#[test]
fn columns_come_go_move_and_change() {
    for (sql, changes, shape) in [
        ("ALTER TABLE t ADD x int", &["add x t"][..], "id int!, a int, b varchar(5)/latin1, c int, x int [id]"),
        (
            "ALTER TABLE t ADD COLUMN x int FIRST, ADD (y text, z int NOT NULL) , ADD w int AFTER a",
            &["add x+w+y+z t"],
            "x int, id int!, a int, w int, b varchar(5)/latin1, c int, y text/latin1, z int!+ [id]",
        ),
        (
            "ALTER TABLE t ADD x int DEFAULT 5 AFTER id",
            &["add x t"],
            "id int!, x int+, a int, b varchar(5)/latin1, c int [id]",
        ),
        (
            "ALTER TABLE t ADD x int DEFAULT NULL COMMENT 'FIRST'",
            &["add x t"],
            "id int!, a int, b varchar(5)/latin1, c int, x int [id]",
        ),
        ("ALTER TABLE t DROP a, DROP COLUMN c", &["drop a+c t"], "id int!, b varchar(5)/latin1 [id]"),
        (
            "ALTER TABLE t DROP a, ADD a text",
            &["drop a t", "add a t"],
            "id int!, b varchar(5)/latin1, c int, a text/latin1 [id]",
        ),
        (
            "ALTER TABLE t MODIFY a bigint unsigned NOT NULL",
            &["alter a t"],
            "id int!, a bigint unsigned!, b varchar(5)/latin1, c int [id]",
        ),
        ("ALTER TABLE t MODIFY c int FIRST", &["alter c+id+a+b t"], "c int, id int!, a int, b varchar(5)/latin1 [id]"),
        ("ALTER TABLE t CHANGE a x int", &["rename a>x t"], "id int!, x int, b varchar(5)/latin1, c int [id]"),
        (
            "ALTER TABLE t CHANGE a x text AFTER b",
            &["rename a>x t", "alter x t"],
            "id int!, b varchar(5)/latin1, x text/latin1, c int [id]",
        ),
        (
            "ALTER TABLE t RENAME COLUMN id TO no",
            &["rename id>no t"],
            "no int!, a int, b varchar(5)/latin1, c int [no]",
        ),
        (
            "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4",
            &["alter b t"],
            "id int!, a int, b varchar(5)/utf8mb4, c int [id]",
        ),
        (
            "ALTER TABLE t MODIFY b varchar(5) CHARACTER SET gbk",
            &["alter b t"],
            "id int!, a int, b varchar(5)/gbk, c int [id]",
        ),
        (
            "ALTER TABLE t DEFAULT CHARACTER SET = utf8mb4 ;; ALTER TABLE t ADD x text",
            &["remember t", "add x t"],
            "id int!, a int, b varchar(5)/latin1, c int, x text/utf8mb4 [id]",
        ),
    ] {
        assert_eq!(altered(sql), (changes.iter().map(|c| (*c).to_owned()).collect(), shape.to_owned()), "{sql}");
    }
}

#[test]
fn names_of_columns_swap() {
    for sql in
        ["ALTER TABLE t RENAME COLUMN a TO c, RENAME COLUMN c TO a", "ALTER TABLE t CHANGE a c int, CHANGE c a int"]
    {
        let (done, shape) = altered(sql);
        assert_eq!(done, ["rename a>c_renamed t", "rename c>a t", "rename c_renamed>c t"], "{sql}");
        assert_eq!(shape, "id int!, c int, b varchar(5)/latin1, a int [id]", "{sql}");
    }
}

#[test]
fn two_columns_cannot_get_one_name() {
    let mut known = Known::default();
    known.run(mysql(), "CREATE TABLE t (id int primary key, a int, b varchar(5), c int)");
    for sql in
        ["ALTER TABLE t RENAME COLUMN a TO x, RENAME COLUMN c TO X", "ALTER TABLE t CHANGE a x int, CHANGE c x int"]
    {
        let Statement::Tables(ddl) = parse(sql, "d", mysql()) else { panic!("no DDL of tables: {sql}") };
        let settings = ApplySettings { dialect: mysql(), zero_dates: ZeroDates::Null, statement: sql };
        let refused = apply(&ddl, &known, &settings).expect_err(sql);
        assert!(refused.to_string().contains("gives two columns the name"), "{refused}");
    }
}

#[test]
fn keys_change() {
    for (sql, changes, shape) in [
        (
            "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (a, id)",
            &["alter a+id t"][..],
            "id int!, a int!, b varchar(5)/latin1, c int [a,id]",
        ),
        ("ALTER TABLE t DROP PRIMARY KEY", &["alter id t"], "id int!, a int, b varchar(5)/latin1, c int []"),
        (
            "ALTER TABLE t DROP PRIMARY KEY ;; ALTER TABLE t ADD UNIQUE KEY u (id)",
            &["alter id t", "alter id t"],
            "id int!, a int, b varchar(5)/latin1, c int [id]",
        ),
        (
            "ALTER TABLE t DROP PRIMARY KEY ;; CREATE UNIQUE INDEX u ON t (id) ;; DROP INDEX u ON t",
            &["alter id t", "alter id t", "alter id t"],
            "id int!, a int, b varchar(5)/latin1, c int []",
        ),
        ("ALTER TABLE t ADD UNIQUE (a)", &[], "id int!, a int, b varchar(5)/latin1, c int [id]"),
        ("ALTER TABLE t DROP COLUMN id", &["drop id t"], "a int, b varchar(5)/latin1, c int []"),
    ] {
        assert_eq!(altered(sql), (changes.iter().map(|c| (*c).to_owned()).collect(), shape.to_owned()), "{sql}");
    }
}

#[test]
fn what_changes_no_columns() {
    for sql in [
        "ALTER TABLE t ENGINE=InnoDB, COMMENT='x, y', ROW_FORMAT=DYNAMIC",
        "ALTER ONLINE TABLE t ADD INDEX (a), ADD FULLTEXT KEY f (b), DROP INDEX a, ALGORITHM=INPLACE, LOCK=NONE",
        "ALTER TABLE t ALTER COLUMN a SET DEFAULT 5, ALTER a DROP DEFAULT",
        "ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (a) REFERENCES x (y), DROP FOREIGN KEY fk, ADD CHECK (a > 0)",
        "ALTER TABLE t RENAME INDEX a TO b, AUTO_INCREMENT = 7, ORDER BY a",
        "ALTER TABLE t PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)",
        "ALTER TABLE t ADD PARTITION (PARTITION p2 VALUES LESS THAN (20))",
        "ALTER TABLE t REORGANIZE PARTITION p1 INTO (PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS THAN (9))",
        "ALTER TABLE t REMOVE PARTITIONING",
        "CREATE INDEX i USING BTREE ON t (a, b(3) DESC)",
        "CREATE FULLTEXT INDEX i ON t (b)",
    ] {
        assert_eq!(altered(sql).0, Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn partitions_that_take_rows_with_them() {
    for (sql, expected) in [
        ("ALTER TABLE t DROP PARTITION p0, p1", &["DROP PARTITION t"][..]),
        ("ALTER TABLE t TRUNCATE PARTITION ALL", &["TRUNCATE PARTITION t"]),
        (
            "ALTER TABLE t EXCHANGE PARTITION p0 WITH TABLE o.u WITHOUT VALIDATION",
            &["EXCHANGE PARTITION t", "EXCHANGE PARTITION u"],
        ),
        ("ALTER TABLE t DISCARD TABLESPACE", &["IMPORT TABLESPACE t"]),
    ] {
        assert_eq!(altered(sql).0, expected.to_vec(), "{sql}");
    }
}
