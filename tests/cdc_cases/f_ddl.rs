//! F. DDL in mid-stream: rows before, the statement, rows after; then a restart that replays across it.

use aqueduct_test_servers::Server;

use super::a_snapshot::rows;
use super::conformance::each;
use crate::harness::captured::Captured;

/// A table `t (id, v)` with 100 rows that is captured and settled.
fn running<'a>(server: &'a Server) -> Captured<'a> {
    let mut case = Captured::on(server);
    case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))");
    case.sql(&rows(server, "t", 100));
    case.start();
    case.settle();
    case
}

/// Each statement between rows that are written before and after it, with the flow running, and then with it stopped.
fn follows(server: &Server, steps: &[&str]) {
    let mut case = running(server);
    let mut id = 1_000;
    for (i, step) in steps.iter().enumerate() {
        for _ in 0..20 {
            id += 1;
            case.sql(&format!("INSERT INTO t (id) VALUES ({id})"));
        }
        if i % 2 == 1 {
            case.kill();
        }
        case.sql(step);
        for _ in 0..20 {
            id += 1;
            case.sql(&format!("INSERT INTO t (id) VALUES ({id})"));
        }
        if i % 2 == 1 {
            case.start();
        }
        case.settle();
    }
    case.survives_a_kill();
}

#[test]
fn case_066_add_column() {
    each(66, |server| {
        let mysql: &[&str] = &[
            "ALTER TABLE t ADD COLUMN a INT",
            "ALTER TABLE t ADD COLUMN b VARCHAR(20) NOT NULL DEFAULT 'dflt'",
            "ALTER TABLE t ADD COLUMN c INT DEFAULT 7 FIRST",
            "ALTER TABLE t ADD COLUMN d INT UNSIGNED NOT NULL DEFAULT 4294967295 AFTER id, ADD COLUMN e DATETIME DEFAULT '2024-01-01', ALGORITHM=COPY",
            "ALTER TABLE t ADD (f INT, g INT), ADD INDEX (f)",
        ];
        let postgres: &[&str] = &[
            "ALTER TABLE t ADD COLUMN a int",
            "ALTER TABLE t ADD COLUMN b text NOT NULL DEFAULT 'dflt'",
            "ALTER TABLE t ADD COLUMN c timestamptz DEFAULT '2024-01-01', ADD COLUMN d int[] DEFAULT '{1,2}'",
        ];
        follows(server, if server.kind().is_mysql() { mysql } else { postgres });
    });
}

#[test]
fn case_067_drop_column() {
    each(67, |server| {
        follows(
            server,
            &[
                "ALTER TABLE t ADD COLUMN a INT DEFAULT 5",
                "ALTER TABLE t DROP COLUMN v",
                "ALTER TABLE t DROP COLUMN a",
                "ALTER TABLE t ADD COLUMN a VARCHAR(30) DEFAULT 'text now'",
            ],
        );
        if server.kind().is_mysql() {
            follows(server, &["ALTER TABLE t DROP COLUMN v, ADD COLUMN v INT DEFAULT 3"]);
        }
    });
}

#[test]
fn case_068_rename_column() {
    each(68, |server| {
        if server.kind().is_mysql() {
            follows(
                server,
                &[
                    "ALTER TABLE t RENAME COLUMN v TO w",
                    "ALTER TABLE t CHANGE w x VARCHAR(50)",
                    "ALTER TABLE t ADD COLUMN a VARCHAR(50) DEFAULT 'a', ADD COLUMN b VARCHAR(50) DEFAULT 'b'",
                    "ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a",
                ],
            );
        } else {
            follows(
                server,
                &[
                    "ALTER TABLE t RENAME COLUMN v TO w",
                    "ALTER TABLE t ADD COLUMN a text DEFAULT 'a', ADD COLUMN b text DEFAULT 'b'",
                    "ALTER TABLE t RENAME COLUMN a TO c",
                    "BEGIN; ALTER TABLE t RENAME COLUMN c TO tmp; ALTER TABLE t RENAME COLUMN b TO c; ALTER TABLE t RENAME COLUMN tmp TO b; COMMIT",
                ],
            );
        }
    });
}

#[test]
fn case_069_changed_types() {
    each(69, |server| {
        let mysql: &[&str] = &[
            "ALTER TABLE t MODIFY v VARCHAR(200)",
            "ALTER TABLE t ADD COLUMN n TINYINT DEFAULT 1",
            "ALTER TABLE t MODIFY n INT",
            "ALTER TABLE t MODIFY n BIGINT",
            "ALTER TABLE t MODIFY n VARCHAR(30)",
            "ALTER TABLE t MODIFY v VARCHAR(100) CHARACTER SET latin1",
            "UPDATE t SET v = 'x' WHERE v IS NULL",
            "ALTER TABLE t MODIFY v TEXT",
        ];
        let postgres: &[&str] = &[
            "ALTER TABLE t ALTER v TYPE varchar(200)",
            "ALTER TABLE t ADD COLUMN n smallint DEFAULT 1",
            "ALTER TABLE t ALTER n TYPE int",
            "ALTER TABLE t ALTER n TYPE bigint",
            "ALTER TABLE t ALTER n TYPE text",
            "ALTER TABLE t ALTER v TYPE text",
        ];
        follows(server, if server.kind().is_mysql() { mysql } else { postgres });
    });
}

#[test]
fn case_070_tables_renamed_swapped_and_made_anew() {
    each(70, |server| {
        let mut case = running(server);
        case.sql("CREATE TABLE u (id INT PRIMARY KEY, w INT); INSERT INTO u VALUES (1, 10), (2, 20)");
        case.settle();
        if server.kind().is_mysql() {
            case.sql("INSERT INTO t VALUES (500, 'before'); RENAME TABLE t TO moved; INSERT INTO moved VALUES (501, 'after')");
            case.settle();
            case.sql("RENAME TABLE moved TO tmp, u TO moved, tmp TO u; INSERT INTO moved VALUES (3, 30); INSERT INTO u VALUES (502, 'swapped')");
        } else {
            case.sql("INSERT INTO t VALUES (500, 'before'); ALTER TABLE t RENAME TO moved; INSERT INTO moved VALUES (501, 'after')");
            case.settle();
            case.sql("BEGIN; ALTER TABLE moved RENAME TO tmp; ALTER TABLE u RENAME TO moved; ALTER TABLE tmp RENAME TO u; COMMIT; INSERT INTO moved VALUES (3, 30); INSERT INTO u VALUES (502, 'swapped')");
        }
        case.settle();
        case.sql("DROP TABLE moved; CREATE TABLE moved (id INT PRIMARY KEY, other VARCHAR(10), more INT); INSERT INTO moved VALUES (7, 'other', 8)");
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_071_an_online_schema_change_by_a_shadow_table() {
    each(71, |server| {
        let mut case = running(server);
        // What gh-ost does: a shadow table, its own changelog, a copy, an atomic swap.
        case.sql("CREATE TABLE _t_ghc (id INT PRIMARY KEY, v INT); CREATE TABLE _t_gho LIKE t; ALTER TABLE _t_gho ADD COLUMN extra INT DEFAULT 5, MODIFY v VARCHAR(90)");
        case.sql("INSERT INTO _t_ghc VALUES (1, 1); INSERT INTO _t_gho (id, v) SELECT id, v FROM t");
        case.sql("INSERT INTO t VALUES (700, 'meanwhile'); REPLACE INTO _t_gho (id, v) VALUES (700, 'meanwhile')");
        case.sql("RENAME TABLE t TO _t_del, _t_gho TO t");
        case.sql("INSERT INTO t VALUES (701, 'after', 6); DROP TABLE _t_del; DROP TABLE _t_ghc");
        case.settle();
        // What pt-online-schema-change does: triggers keep the copy in step.
        case.sql("CREATE TABLE _t_new LIKE t; ALTER TABLE _t_new DROP COLUMN extra");
        case.sql(
            "CREATE TRIGGER pt_i AFTER INSERT ON t FOR EACH ROW REPLACE INTO _t_new (id, v) VALUES (NEW.id, NEW.v)",
        );
        case.sql("INSERT IGNORE INTO _t_new (id, v) SELECT id, v FROM t; INSERT INTO t VALUES (702, 'trigger', 1)");
        case.sql("RENAME TABLE t TO _t_old, _t_new TO t; DROP TABLE _t_old");
        case.sql("INSERT INTO t VALUES (703, 'after')");
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_072_a_restart_behind_several_ddls() {
    each(72, |server| {
        let mut case = running(server);
        case.kill();
        case.sql("INSERT INTO t VALUES (500, 'first shape')");
        case.sql("ALTER TABLE t ADD COLUMN a INT");
        case.sql("INSERT INTO t VALUES (501, 'second', 1)");
        case.sql("ALTER TABLE t DROP COLUMN v");
        case.sql("INSERT INTO t VALUES (502, 2)");
        case.sql("ALTER TABLE t ADD COLUMN v INT");
        case.sql("INSERT INTO t VALUES (503, 3, 33)");
        case.sql("CREATE TABLE short (id INT PRIMARY KEY, x INT); INSERT INTO short VALUES (1, 1); DROP TABLE short");
        case.sql("ALTER TABLE t RENAME COLUMN a TO b; INSERT INTO t VALUES (504, 4, 44)");
        case.start();
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_073_ddl_inside_a_transaction() {
    each(73, |server| {
        let mut case = running(server);
        case.sql(
            "BEGIN; INSERT INTO t VALUES (500, 'before'); ALTER TABLE t ADD COLUMN a int; INSERT INTO t VALUES (501, 'between', 1);
             ALTER TABLE t DROP COLUMN v; UPDATE t SET a = 2 WHERE id = 500; ALTER TABLE t ADD COLUMN v int DEFAULT 9; INSERT INTO t VALUES (502, 3, 4); COMMIT",
        );
        case.settle();
        case.sql("BEGIN; ALTER TABLE t ADD COLUMN rolled int; INSERT INTO t (id, rolled) VALUES (600, 1); ROLLBACK; INSERT INTO t (id) VALUES (601)");
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_074_ddl_that_the_target_cannot_follow() {
    each(74, |server| {
        let mut case = running(server).sink_settings("schema_change: fail");
        case.stop();
        case.start();
        case.sql("INSERT INTO t VALUES (500, 'before')");
        case.caught_up();
        case.sql("ALTER TABLE t ADD COLUMN a INT; INSERT INTO t VALUES (501, 'after', 1)");
        let log = case.fails();
        assert!(log.contains("schema_change") || log.contains("ADD COLUMN"), "{log}");
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id = 500"), 1);
        // The operator decides, and no row is lost.
        case = case.sink_settings("schema_change: evolve");
        case.start();
        case.settle();
    });
}

#[test]
fn case_075_statements_that_concern_no_captured_table() {
    each(75, |server| {
        let mut case = running(server);
        let name = case.database.name().to_owned();
        for sql in [
            "CREATE INDEX i ON t (v)",
            "DROP INDEX i ON t",
            "ANALYZE TABLE t",
            "OPTIMIZE TABLE t",
            "CREATE TABLE l LIKE t",
            "CREATE TABLE q AS SELECT * FROM t",
            "ALTER TABLE t COMMENT = 'a; comment -- with /* marks */'",
            "/* before */ ALTER /* within */ TABLE t -- to the end\n ADD COLUMN a INT",
            "/*!50100 ALTER TABLE t ADD COLUMN b INT */",
            "ALTER TABLE t ENGINE = InnoDB",
            "CREATE VIEW w AS SELECT * FROM t",
            "CREATE PROCEDURE p() BEGIN INSERT INTO t (id) VALUES (9999); END",
            "CALL p()",
            "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO DELETE FROM t WHERE id = -1",
            "DROP VIEW w",
            "CREATE TEMPORARY TABLE tmp (id INT); INSERT INTO tmp VALUES (1); ALTER TABLE tmp ADD COLUMN x INT; DROP TEMPORARY TABLE tmp",
            "FLUSH TABLES",
            "GRANT SELECT ON t TO 'cdc'@'%'",
        ] {
            case.sql(sql);
        }
        case.sql(&format!("CREATE DATABASE {name}_x; CREATE TABLE {name}_x.t (id INT PRIMARY KEY); ALTER TABLE {name}_x.t ADD COLUMN z JSON; DROP DATABASE {name}_x"));
        case.sql("INSERT INTO t (id, v) VALUES (800, 'after'); INSERT INTO l (id) VALUES (1); INSERT INTO q (id) VALUES (5000)");
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_076_partitioned_tables() {
    each(76, |server| {
        let mut case = Captured::on(server);
        if server.kind().is_mysql() {
            case.sql("CREATE TABLE p (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (200))");
            case.sql("INSERT INTO p VALUES (1, 1), (150, 2)");
            case.start();
            case.settle();
            case.sql("ALTER TABLE p ADD PARTITION (PARTITION p2 VALUES LESS THAN (300)); INSERT INTO p VALUES (250, 3); UPDATE p SET id = 50 WHERE id = 150");
            case.settle();
            case.sql("ALTER TABLE p REORGANIZE PARTITION p2 INTO (PARTITION p2 VALUES LESS THAN (260), PARTITION p3 VALUES LESS THAN (400)); INSERT INTO p VALUES (390, 4)");
            case.settle();
            // Rows vanish without an event: the table is read again, or the flow stops and says so.
            case.sql("ALTER TABLE p DROP PARTITION p0");
            case.sql("INSERT INTO p VALUES (391, 5)");
            let started = std::time::Instant::now();
            while case.difference().is_some()
                && !case.daemon().has_ended()
                && started.elapsed() < crate::harness::captured::LIMIT
            {
                std::thread::park_timeout(std::time::Duration::from_millis(20));
            }
            let told = case.log().contains("partition") || case.log().contains("PARTITION");
            assert!(case.difference().is_none() || told, "a silent difference: {:?}", case.difference());
            return;
        }
        case.sql("CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY RANGE (id); CREATE TABLE p0 PARTITION OF p FOR VALUES FROM (0) TO (100)");
        case.sql(
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (100) TO (200); INSERT INTO p VALUES (1, 1), (150, 2)",
        );
        case.start();
        case.settle();
        case.sql("CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (200) TO (300); INSERT INTO p VALUES (250, 3); UPDATE p SET id = 50 WHERE id = 150");
        case.settle();
        case.sql("INSERT INTO p VALUES (251, 4); DELETE FROM p WHERE id = 1");
        case.settle();
        case.survives_a_kill();
    });
}
