//! Rows that the log has in parts: `binlog_row_image` MINIMAL and NOBLOB.

use aqueduct_model::ErrorKind;
use aqueduct_test_servers::{Options, Server};

use super::*;

#[tokio::test]
async fn minimal_row_images_leave_columns_absent() {
    for kind in KINDS {
        let server = Server::start(kind, Options::new().config("binlog-row-image=MINIMAL"));
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, a int, b varchar(9))");
        let (mut system, _) = streaming(&database).await;
        database.sql(
            "INSERT INTO t VALUES (1,1,'x'); UPDATE t SET a = NULL WHERE id = 1; UPDATE t SET id = 2; DELETE FROM t",
        );
        let read = texts(&read_all(&mut system, true).await);
        assert_eq!(read[0], "+t 1|1|x", "{kind:?}");
        assert_eq!(read[1], ">t 1|NULL", "{kind:?}: b was not sent");
        assert_eq!(read.last().map(String::as_str), Some("-t 2"), "{kind:?}");
        system.close().await.expect("closes");
    }
}

/// Columns with every kind of constant default.
const DEFAULTS: &str = "a int DEFAULT -5, b varchar(20) DEFAULT 'it''s', c text, d decimal(10,2) NOT NULL DEFAULT 1.5,
    e enum('x','y') DEFAULT 'y', f set('p','q') DEFAULT 'p,q', g datetime(3) DEFAULT '2024-02-29 10:20:30.5',
    h date DEFAULT '2024-01-01', i time DEFAULT '-01:02:03', j bit(4) DEFAULT b'101', k double DEFAULT 0.1,
    l year DEFAULT '2001', m bigint unsigned DEFAULT 18446744073709551615, n char(5) DEFAULT 'z', o int,
    p int NOT NULL, q varchar(9) NOT NULL, r enum('s','t') NOT NULL, s tinyint(1) DEFAULT TRUE, t blob";

/// What the server itself says of each row of a table.
async fn stored(system: &mut MysqlSystem, table: &str, mark: &MysqlMark) -> Vec<String> {
    use crate::cdc::capture::{KeyRange, TableReader};
    let relations = relations(system).await;
    let relation = relations.iter().find(|relation| relation.name().table == table).expect("the table");
    let mut reader = system.reader().await.expect("a reader");
    let mut rows: Vec<arrow::array::RecordBatch> = Vec::new();
    reader.read_chunk(relation, &KeyRange { after: None, up_to: None }, mark, &mut rows).await.expect("rows");
    let mut texts = Vec::new();
    for rows in rows {
        let batch = Batch::inserts(relation.clone(), rows).expect("a batch");
        texts.extend((0..batch.num_rows()).map(|row| row_text(&batch, row)));
    }
    texts.sort();
    texts
}

#[tokio::test]
async fn columns_that_an_insert_leaves_out_have_their_defaults() {
    for kind in KINDS {
        for image in ["MINIMAL", "NOBLOB"] {
            let server = Server::start(kind, Options::new().config(format!("binlog-row-image={image}")));
            let database = server.database();
            database.sql(&format!("CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, {DEFAULTS})"));
            let (mut system, _) = streaming(&database).await;
            // One table is known from the server, the other from its DDL.
            database.sql(&format!("CREATE TABLE u (id int PRIMARY KEY AUTO_INCREMENT, {DEFAULTS})"));
            for table in ["t", "u"] {
                database.sql(&format!(
                    "SET SESSION sql_mode=''; INSERT INTO {table} (o) VALUES (1),(2); INSERT INTO {table} (a, b) VALUES (NULL, NULL);
                     ALTER TABLE {table} ALTER COLUMN a SET DEFAULT 7, ALTER b DROP DEFAULT, ALTER o SET DEFAULT 9;
                     INSERT INTO {table} (c, t) VALUES ('c', x'00');
                     ALTER TABLE {table} ADD COLUMN v varchar(9) DEFAULT 'vv', MODIFY k double;
                     INSERT INTO {table} (o) VALUES (NULL)"
                ));
            }
            let items = read_all(&mut system, true).await;
            let mark = system.end_of_log().await.expect("the end");
            let read = texts(&items);
            for table in ["t", "u"] {
                let mut read: Vec<String> =
                    read.iter().filter(|text| text.starts_with(&format!("+{table} "))).cloned().collect();
                read.sort();
                let mut stored = stored(&mut system, table, &mark).await;
                // Rows that were inserted before the column was added have no value of it.
                for row in &mut stored[..4] {
                    *row = row.strip_suffix("|vv").expect("the last column").to_owned();
                }
                assert_eq!(read, stored, "{kind:?} {image} {table}");
            }
            system.close().await.expect("closes");
        }
    }
}

#[tokio::test]
async fn a_default_that_is_computed_is_logged_or_an_error() {
    for kind in KINDS {
        let server = Server::start(kind, Options::new().config("binlog-row-image=MINIMAL"));
        let database = server.database();
        database.sql(
            "CREATE TABLE t (id int PRIMARY KEY, a datetime DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
               b int DEFAULT (1 + 1), c varchar(40) DEFAULT (CONCAT('x', 'y')));
             CREATE TABLE g (id int PRIMARY KEY, a int, s int GENERATED ALWAYS AS (a + 1) STORED);
             CREATE TABLE w (id int PRIMARY KEY, raw binary(3) DEFAULT 'abc')",
        );
        let (mut system, mark) = streaming(&database).await;
        database.sql("INSERT INTO t (id) VALUES (1); INSERT INTO g (id, a) VALUES (1, 1)");
        let read = texts(&read_all(&mut system, true).await);
        assert!(read[0].ends_with("|2|xy"), "{kind:?}: {read:?}");
        assert_eq!(read[1], "+g 1|1|2", "{kind:?}");
        database.sql("INSERT INTO w (id) VALUES (1)");
        let end = system.end_of_log().await.expect("the end");
        let error = try_read_to(&mut system, &end, true).await.expect_err("the value is not in the log");
        assert_eq!(error.kind(), ErrorKind::Data, "{kind:?}: {error:?}");
        assert!(error.to_string().contains(&format!("{}.w", database.name())), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("SET GLOBAL binlog_row_image='FULL'")), "{error:?}");
        drop(mark);
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn a_replaced_row_is_whole_or_an_error() {
    for kind in KINDS {
        let server = Server::start(kind, Options::new().config("binlog-row-image=MINIMAL"));
        let database = server.database();
        database
            .sql("CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 5, b varchar(9)); INSERT INTO t VALUES (1,1,'x')");
        let (mut system, _) = streaming(&database).await;
        database.sql("REPLACE INTO t (id) VALUES (1); REPLACE INTO t (id, b) VALUES (1, 'y'), (2, 'z')");
        let end = system.end_of_log().await.expect("the end");
        match try_read_to(&mut system, &end, true).await {
            // MariaDB 10.11 logs an update that lacks the columns which got their defaults.
            Err(error) if kind == Kind::MariaDb => {
                assert_eq!((error.kind(), error.setting()), (ErrorKind::Data, Some("binlog_row_image")), "{error:?}");
                assert!(error.to_string().contains("REPLACE"), "{error}");
            }
            read => {
                let read = texts(&read.unwrap_or_else(|error| panic!("{kind:?}: {error:?}")));
                assert_eq!(read, [">t 1|5|NULL", ">t 1|5|y", "+t 2|5|z"], "{kind:?}");
            }
        }
        // Whole rows may be replaced.
        let (mut system, _) = streaming(&database).await;
        database.sql("/* app */ REPLACE INTO t VALUES (1,6,'w')");
        assert_eq!(texts(&read_all(&mut system, true).await), [">t 1|6|w"], "{kind:?}");
        system.close().await.expect("closes");
    }
}
