//! DDL in the order of the log, and restarts behind it.

use super::*;

/// DDL of every kind, rows between; each part in one transaction of its own.
const SCRIPT: &[&str] = &[
    "INSERT INTO t VALUES (1,'a')",
    "ALTER TABLE t ADD COLUMN c int NULL AFTER id",
    "INSERT INTO t VALUES (2,20,'b')",
    "ALTER TABLE t DROP COLUMN v, ADD COLUMN v bigint",
    "INSERT INTO t VALUES (3,30,300)",
    "ALTER TABLE t RENAME COLUMN c TO d",
    "INSERT INTO t VALUES (4,40,400)",
    "ALTER TABLE t MODIFY d bigint unsigned",
    "INSERT INTO t VALUES (5,18446744073709551615,500)",
    "CREATE TABLE u (id int PRIMARY KEY, name varchar(20))",
    "INSERT INTO u VALUES (1,'new')",
    "RENAME TABLE t TO w",
    "INSERT INTO w VALUES (6,60,600)",
    "RENAME TABLE w TO x, u TO w, x TO u",
    "INSERT INTO w VALUES (2,'swapped')",
    "INSERT INTO u VALUES (7,70,700)",
    "TRUNCATE TABLE u",
    "INSERT INTO u VALUES (8,80,800)",
    "DROP TABLE u",
    "CREATE TABLE u (name varchar(9) PRIMARY KEY)",
    "INSERT INTO u VALUES ('other')",
    "CREATE TABLE s SELECT 1 AS one, 'x' AS two",
];

#[tokio::test]
async fn ddl_comes_where_it_was_and_a_restart_decodes_with_the_shapes_of_then() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v varchar(9))");
        let (mut system, start) = streaming(&database).await;
        let then = relations(&mut system).await;
        for statement in SCRIPT {
            database.sql(statement);
        }
        let end = system.end_of_log().await.expect("the end");
        let items = read_to(&mut system, &end, true).await;
        let read = texts(&items);
        let rows: Vec<&str> = read.iter().filter(|text| text.starts_with('+')).map(String::as_str).collect();
        assert_eq!(
            rows,
            [
                "+t 1|a",
                "+t 2|20|b",
                "+t 3|30|300",
                "+t 4|40|400",
                "+t 5|18446744073709551615|500",
                "+u 1|new",
                "+w 6|60|600",
                "+w 2|swapped",
                "+u 7|70|700",
                "+u 8|80|800",
                "+u other",
                "+s 1|x",
            ],
            "{kind:?}: {read:#?}"
        );
        assert!(read.contains(&"Truncate u".to_owned()), "{kind:?}: {read:#?}");
        assert!(read.contains(&"DropTable u".to_owned()), "{kind:?}: {read:#?}");
        // Far behind, with the shapes of then: the same.
        system.start(&start, &then).await.expect("starts again");
        assert_eq!(texts(&read_to(&mut system, &end, true).await), read, "{kind:?}");
        // From every boundary, with the shapes that had been reached there.
        let mut shapes: std::collections::BTreeMap<String, Arc<Relation>> =
            then.iter().map(|relation| (relation.name().table.clone(), relation.clone())).collect();
        for (i, item) in items.iter().enumerate() {
            let boundary = match item {
                LogItem::Rows { boundary, .. } => boundary,
                LogItem::Schema { change, boundary } => {
                    let name = change.relation.name().table.clone();
                    match &change.change {
                        aqueduct_model::Change::DropTable => drop(shapes.remove(&name)),
                        aqueduct_model::Change::RenameTable { from } => {
                            shapes.remove(&from.table);
                            shapes.insert(name, change.relation.clone());
                        }
                        _ => drop(shapes.insert(name, change.relation.clone())),
                    }
                    boundary
                }
                other => panic!("{other:?}"),
            };
            let Some(boundary) = boundary else { continue };
            let known: Vec<Arc<Relation>> = shapes.values().cloned().collect();
            system.start(boundary, &known).await.expect("starts again");
            let again = read_to(&mut system, &end, true).await;
            assert_eq!(texts(&again), texts(&items[i + 1..]), "{kind:?} from {boundary}");
        }
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn online_schema_changes_leave_no_trace() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1,1)");
        let (mut system, _) = streaming(&database).await;
        database.sql(
            "CREATE TABLE _t_ghc (id int PRIMARY KEY);
             CREATE TABLE _t_gho LIKE t; ALTER TABLE _t_gho ADD COLUMN c int DEFAULT NULL;
             INSERT INTO _t_gho (id, v) SELECT id, v FROM t;
             INSERT INTO t VALUES (2,2); INSERT INTO _t_gho VALUES (2,2,NULL);
             RENAME TABLE t TO _t_del, _t_gho TO t;
             INSERT INTO t VALUES (3,3,30); DROP TABLE _t_del; DROP TABLE _t_ghc",
        );
        assert_eq!(
            texts(&read_all(&mut system, true).await),
            ["+t 2|2", "AddColumns([\"c\"]) t", "+t 3|3|30"],
            "{kind:?}"
        );
        // One with the same columns (a rebuild, another index) changes nothing at all.
        database.sql(
            "CREATE TABLE _t_new LIKE t; ALTER TABLE _t_new ADD INDEX (v); INSERT INTO _t_new SELECT * FROM t;
             RENAME TABLE t TO _t_old, _t_new TO t; DROP TABLE _t_old; INSERT INTO t VALUES (4,4,40)",
        );
        assert_eq!(texts(&read_all(&mut system, true).await), ["+t 4|4|40"], "{kind:?}");
        // The rows that were copied may have any value in a new column: they are to be read again.
        database.sql(
            "CREATE TABLE _t_gho LIKE t; ALTER TABLE _t_gho ADD COLUMN d int; INSERT INTO _t_gho SELECT *, 5 FROM t;
             RENAME TABLE t TO _t_del, _t_gho TO t",
        );
        let items = read_all(&mut system, true).await;
        let [LogItem::Schema { change, .. }] = items.as_slice() else { panic!("{kind:?}: {items:?}") };
        let field = change.relation.columns().field_with_name("d").expect("the column");
        assert!(field.metadata().contains_key(crate::cdc::capture::BACKFILLED), "{kind:?}");
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn statements_about_other_things_are_passed_over() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v int)");
        let table = format!("{}.t", database.name());
        let mut system = MysqlSystem::new(settings(&database.url("cdc"), &[&table]));
        system.connect().await.expect("connects");
        let relations = relations(&mut system).await;
        let mark = system.end_of_log().await.expect("the end");
        system.start(&mark, &relations).await.expect("starts");
        database.sql(
            "CREATE INDEX i ON t (v); ANALYZE TABLE t; OPTIMIZE TABLE t; ALTER TABLE t COMMENT 'x';
             CREATE VIEW w AS SELECT * FROM t; DROP VIEW w; CREATE TABLE other (a int); ALTER TABLE other ADD b int;
             INSERT INTO other VALUES (1,1); DROP TABLE other; CREATE TEMPORARY TABLE tmp (a int); DROP TEMPORARY TABLE tmp;
             CREATE PROCEDURE p() SELECT 1; DROP PROCEDURE p; CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW SET @x = 1;
             INSERT INTO t VALUES (1,1)",
        );
        assert_eq!(texts(&read_all(&mut system, true).await), ["+t 1|1"], "{kind:?}");
        system.close().await.expect("closes");
    }
}
