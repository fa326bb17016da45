//! B. Keys and the identity of rows.

use super::conformance::each;
use crate::harness::captured::Captured;

#[test]
fn case_018_changed_keys() {
    each(18, |server| {
        let mut case = Captured::on(server);
        case.sql(
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (1, 'a'), (-1, 'b'), (5, 'c')",
        );
        // PostgreSQL checks a primary key row by row unless it may be deferred.
        let deferred = if server.kind().is_mysql() { "PRIMARY KEY" } else { "PRIMARY KEY DEFERRABLE" };
        case.sql(&format!("CREATE TABLE swapped (id INT {deferred}, v VARCHAR(20))"));
        if !server.kind().is_mysql() {
            case.sql("ALTER TABLE swapped REPLICA IDENTITY FULL");
        }
        case.sql("INSERT INTO swapped VALUES (1, 'one'), (-1, 'minus one')");
        let values: Vec<String> = (1..=1_000).map(|id| format!("({id}, 'v{id}')")).collect();
        case.sql(&format!(
            "CREATE TABLE chain (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO chain VALUES {}",
            values.join(",")
        ));
        case.start();
        case.settle();
        case.sql("UPDATE t SET id = 9 WHERE id = 5");
        case.settle();
        if server.kind().is_mysql() {
            case.sql("BEGIN; UPDATE swapped SET id = 100 WHERE id = 1; UPDATE swapped SET id = 1 WHERE id = -1; UPDATE swapped SET id = -1 WHERE id = 100; COMMIT");
            case.sql("UPDATE chain SET id = id + 1 ORDER BY id DESC");
        } else {
            case.sql("UPDATE swapped SET id = id * -1");
            case.sql("UPDATE chain SET id = id + 10000");
            case.sql("UPDATE chain SET id = id - 9999");
        }
        case.settle();
        assert_eq!(case.copied("SELECT v FROM swapped ORDER BY id"), "one\nminus one");
        assert_eq!(case.copied("SELECT count(*), min(id), max(id) FROM chain"), "1000|2|1001");
        case.survives_a_kill();
    });
}

#[test]
fn case_019_a_composite_key_in_another_order_than_the_columns() {
    each(19, |server| {
        let mut case = Captured::on(server).setting("chunk_rows: 3");
        case.sql("CREATE TABLE t (a INT NOT NULL, b VARCHAR(10) NOT NULL, c INT NOT NULL, v INT, PRIMARY KEY (c, a))");
        // A unique index that may hold NULLs is no key.
        case.sql("CREATE TABLE u (a INT, b INT, v VARCHAR(10), UNIQUE (a, b))");
        if !server.kind().is_mysql() {
            case.sql("ALTER TABLE u REPLICA IDENTITY FULL");
        }
        case.sql("INSERT INTO t VALUES (1,'x',9,1),(2,'x',9,2),(1,'x',8,3),(3,'y',7,4),(3,'y',8,5),(0,'z',9,6)");
        case.sql("INSERT INTO u VALUES (1, NULL, 'a'), (1, NULL, 'a'), (NULL, NULL, 'b'), (1, 2, 'c')");
        case.start();
        case.settle();
        case.sql(
            "UPDATE t SET v = v * 10 WHERE c = 9; DELETE FROM t WHERE c = 8 AND a = 3; UPDATE t SET c = 10 WHERE a = 0",
        );
        case.sql("UPDATE u SET v = 'd' WHERE b = 2; INSERT INTO u VALUES (1, NULL, 'a'); DELETE FROM u WHERE v = 'b'");
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_020_keys_that_a_collation_takes_for_one_stay_apart() {
    each(20, |server| {
        let mut case = Captured::on(server);
        if server.kind().is_mysql() {
            // The source takes them for one key, a case-sensitive target does not: a change of case moves the row.
            case.sql(
                "CREATE TABLE t (k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
            );
            case.sql("INSERT INTO t VALUES ('Anna', 1), ('b', 2), ('é', 3)");
            case.start();
            case.settle();
            case.sql("UPDATE t SET k = 'ANNA', v = 10 WHERE k = 'anna'; UPDATE t SET k = 'e', v = 30 WHERE k = 'E'");
            case.sql("REPLACE INTO t VALUES ('B', 20); UPDATE t SET v = v + 1 WHERE k = 'b '; DELETE FROM t WHERE k = 'ANNA'; INSERT INTO t VALUES ('anna ', 5)");
        } else {
            case.sql("CREATE TABLE t (k text PRIMARY KEY, v int); INSERT INTO t VALUES ('Anna', 1), ('anna', 2), ('anna ', 3), ('ánna', 4)");
            case.start();
            case.settle();
            case.sql(
                "UPDATE t SET v = v * 10; DELETE FROM t WHERE k = 'anna'; UPDATE t SET k = 'ANNA' WHERE k = 'Anna'",
            );
        }
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_021_each_replica_identity() {
    each(21, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE d (id int PRIMARY KEY, v text); CREATE TABLE f (id int PRIMARY KEY, v text)");
        case.sql(
            "CREATE TABLE i (id int PRIMARY KEY, other int NOT NULL UNIQUE, v text); CREATE TABLE n (id int, v text)",
        );
        case.sql("ALTER TABLE f REPLICA IDENTITY FULL; ALTER TABLE i REPLICA IDENTITY USING INDEX i_other_key");
        case.sql("ALTER TABLE n REPLICA IDENTITY NOTHING");
        case.sql("INSERT INTO d VALUES (1, 'a'), (2, 'b'); INSERT INTO f VALUES (1, 'a'), (2, 'b')");
        case.sql("INSERT INTO i VALUES (1, 10, 'a'), (2, 20, 'b');");
        // Nothing at all identifies a row: refused, with the statement.
        case.is_refused(&["ALTER TABLE \"public\".\"n\" REPLICA IDENTITY"]);
        case = case.only(&["d", "f", "i", "zz_marker"]);
        case.start();
        case.settle();
        for table in ["d", "f", "i"] {
            case.sql(&format!("UPDATE {table} SET v = 'x' WHERE id = 1; UPDATE {table} SET id = 3 WHERE id = 2; DELETE FROM {table} WHERE id = 1"));
        }
        case.sql("UPDATE i SET other = 30 WHERE id = 3; DROP TABLE n");
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_022_the_replica_identity_changes_in_mid_stream() {
    each(22, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id int PRIMARY KEY, other int NOT NULL UNIQUE, v text)");
        case.sql("INSERT INTO t SELECT i, i * 10, 'v' FROM generate_series(1, 20) i");
        case.start();
        case.settle();
        for identity in ["FULL", "USING INDEX t_other_key", "DEFAULT", "FULL"] {
            case.sql(&format!("ALTER TABLE t REPLICA IDENTITY {identity}"));
            case.sql("UPDATE t SET v = v || 'x' WHERE id % 3 = 0; UPDATE t SET id = id + 100 WHERE id % 5 = 1");
            case.sql("DELETE FROM t WHERE id = (SELECT min(id) FROM t)");
            case.settle();
        }
        case.survives_a_kill();
    });
}

#[test]
fn case_023_a_primary_key_is_added_and_dropped() {
    each(23, |server| {
        let mysql = server.kind().is_mysql();
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE added (id INT NOT NULL, v VARCHAR(10)); INSERT INTO added VALUES (1, 'a'), (2, 'b')");
        if !mysql {
            case.sql("ALTER TABLE added REPLICA IDENTITY FULL");
        }
        case.sql("CREATE TABLE dropped (id INT NOT NULL, v VARCHAR(10), CONSTRAINT dropped_pkey PRIMARY KEY (id)); INSERT INTO dropped VALUES (1, 'a'), (2, 'b')");
        case.start();
        case.settle();
        case.sql("ALTER TABLE added ADD PRIMARY KEY (id); UPDATE added SET v = 'x' WHERE id = 1; INSERT INTO added VALUES (3, 'c')");
        case.settle();
        let drop = if mysql { "DROP PRIMARY KEY" } else { "DROP CONSTRAINT dropped_pkey, REPLICA IDENTITY FULL" };
        case.sql(&format!(
            "ALTER TABLE dropped {drop}; UPDATE dropped SET v = 'x' WHERE id = 1; INSERT INTO dropped VALUES (3, 'c')"
        ));
        case.sql("DELETE FROM dropped WHERE id = 2");
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_024_keys_of_16_columns_and_long_keys() {
    each(24, |server| {
        let mut case = Captured::on(server).setting("chunk_rows: 4");
        let names: Vec<String> = (1..=16).map(|i| format!("k{i}")).collect();
        let columns: Vec<String> = names.iter().map(|name| format!("{name} INT NOT NULL")).collect();
        case.sql(&format!("CREATE TABLE wide ({}, v INT, PRIMARY KEY ({}))", columns.join(", "), names.join(", ")));
        let rows: Vec<String> = (0..30)
            .map(|row| {
                format!(
                    "({}, {row})",
                    (0..16).map(|i| format!("{}{row}", (row >> (i % 5)) & 1)).collect::<Vec<_>>().join(", ")
                )
            })
            .collect();
        case.sql(&format!("INSERT INTO wide VALUES {}", rows.join(",")));
        // The longest keys that the servers' indexes take.
        let length = if server.kind().is_mysql() { 760 } else { 2_500 };
        case.sql(&format!("CREATE TABLE tall (k VARCHAR({length}) PRIMARY KEY, v INT)"));
        let keys: Vec<String> = (0..20).map(|n| format!("('{}{n:03}', {n})", "k".repeat(length - 3))).collect();
        case.sql(&format!("INSERT INTO tall VALUES {}", keys.join(",")));
        case.start();
        case.settle();
        case.sql("UPDATE wide SET v = v + 1000 WHERE k1 > 15; DELETE FROM wide WHERE v = 7; UPDATE tall SET v = v + 1000 WHERE v < 9");
        case.settle();
        case.survives_a_kill();
    });
}
