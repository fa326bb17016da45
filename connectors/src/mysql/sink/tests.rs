//! MySQLOutput against MariaDB and MySQL 8.

use std::path::Path;

use std::collections::HashMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Build, ErrorKind, Finding, Relation, RelationName};
use aqueduct_test_servers::{Kind, shared};
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use serde_json::{Value, json};

use crate::sql_target::Dialect;
use crate::sql_target::tests::{Bench, Kit, ON_SERVERS, batch, check, relation};

/// NaN, infinities, and durations beyond what TIME holds.
const REFUSES: &[&str] = &["f32", "f64", "duration"];

const MARIADB: Kit = Kit {
    entry: super::OUTPUT,
    dialect: Dialect::MariaDb,
    place: |_| place(Kind::MariaDb),
    sql: |place, sql| run(Kind::MariaDb, place, sql),
    cases: 4,
    refuses: REFUSES,
};

const MYSQL8: Kit = Kit {
    dialect: Dialect::MySql,
    place: |_: &Path| place(Kind::MySql8),
    sql: |place, sql| run(Kind::MySql8, place, sql),
    ..MARIADB
};

fn place(kind: Kind) -> Value {
    json!({ "url": shared(kind).database().url("cdc") })
}

fn run(kind: Kind, place: &Value, sql: &str) -> Vec<String> {
    let database = place["url"].as_str().unwrap().rsplit('/').next().unwrap();
    let rows = shared(kind).connect_to(database).sql(sql);
    let cell = |cell: Option<String>| cell.unwrap_or_else(|| "NULL".to_owned());
    rows.into_iter().map(|row| row.into_iter().map(cell).collect::<Vec<_>>().join("|")).collect()
}

#[test]
fn mariadb_passes_all_tests_of_a_sql_target() {
    check(&MARIADB, ON_SERVERS);
}

#[test]
fn mysql8_passes_all_tests_of_a_sql_target() {
    check(&MYSQL8, ON_SERVERS);
}

/// A column with the metadata of a source of this family.
fn of_source(name: &str, data_type: DataType, source_type: &str, collation: Option<&str>) -> Field {
    let mut metadata = HashMap::from([("source.type".to_owned(), source_type.to_owned())]);
    if let Some(collation) = collation {
        metadata.insert("source.collation".to_owned(), collation.to_owned());
        metadata.insert("source.charset".to_owned(), collation.split('_').next().unwrap().to_owned());
    }
    Field::new(name, data_type, true).with_metadata(metadata)
}

fn the_types_of_the_source_are_kept(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let general = Some("utf8mb4_general_ci");
    let columns: Vec<(Field, ArrayRef)> = vec![
        (of_source("id", DataType::Utf8, "varchar(10)", general), Arc::new(StringArray::from(vec!["a", "b", "c"]))),
        (
            of_source("colour", DataType::Utf8, "enum('red','it''s','a,b')", general),
            Arc::new(StringArray::from(vec!["it's", "a,b", "none of them"])),
        ),
        (
            of_source("set_of", DataType::Utf8, "set('x','y')", general),
            Arc::new(StringArray::from(vec!["x,y", "", "x"])),
        ),
        (
            of_source("latin", DataType::Utf8, "char(5)", Some("latin1_swedish_ci")),
            Arc::new(StringArray::from(vec!["ünï", "b", "c"])),
        ),
        (
            of_source("price", DataType::Decimal128(10, 2), "decimal(10,2) unsigned", None),
            Arc::new(Decimal128Array::from(vec![1_050, 0, 1]).with_precision_and_scale(10, 2).unwrap()),
        ),
        (of_source("bits", DataType::UInt64, "bit(10)", None), Arc::new(UInt64Array::from(vec![1_023, 0, 5]))),
        (of_source("year", DataType::UInt16, "year(4)", None), Arc::new(UInt16Array::from(vec![1901, 0, 2155]))),
        (
            of_source("moment", utc, "timestamp(3)", None),
            Arc::new(
                TimestampMicrosecondArray::from(vec![1_700_000_000_123_000, 1_001_000, 5_000_000]).with_timezone("UTC"),
            ),
        ),
        (
            of_source("clock", DataType::Duration(TimeUnit::Microsecond), "time(6)", None),
            Arc::new(DurationMicrosecondArray::from(vec![-3_020_399_000_000, 1, -1])),
        ),
        (
            of_source("place", DataType::Binary, "point", None),
            Arc::new(BinaryArray::from_vec(vec![&POINT[..], &POINT[..], &POINT[..]])),
        ),
    ];
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new(fields));
    let relation = Arc::new(Relation::new(RelationName::table("typed"), schema.clone(), &["id"], 1).unwrap());
    let rows = RecordBatch::try_new(schema, arrays).unwrap();
    let (mut writer, _) = bench.start();
    writer.write(Batch::inserts(relation, rows.clone()).unwrap());
    writer.flush();
    let bad: Vec<String> = writer.bad.take().into_iter().flat_map(|row| row.reasons).collect();
    assert_eq!(bad, ["a value is none of its column's type (error 1265)"], "the label that the enum does not have");
    writer.close();
    let types = bench.sql("SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'typed' ORDER BY ORDINAL_POSITION");
    let kept =
        ["varchar(10)", "enum('red','it''s','a,b')", "set('x','y')", "char(5)", "decimal(10,2) unsigned", "bit(10)"];
    assert_eq!(types[..6], kept);
    assert_eq!(types[7..], ["timestamp(3)", "time(6)", "point"]);
    let read = bench.read_batches("typed").1;
    assert_eq!(read[0].columns(), rows.slice(0, 2).columns());
    assert_eq!(bench.sql("SELECT latin FROM typed WHERE id = 'a'"), ["ünï"]);
}

/// SRID 0, then a point as well-known binary: as the servers store it.
const POINT: [u8; 25] = {
    let mut bytes = [0; 25];
    (bytes[4], bytes[5], bytes[15], bytes[16]) = (1, 1, 0xf0, 0x3f);
    bytes
};

#[test]
fn the_types_of_the_source_are_kept_by_mariadb() {
    the_types_of_the_source_are_kept(&MARIADB);
}

#[test]
fn the_types_of_the_source_are_kept_by_mysql8() {
    the_types_of_the_source_are_kept(&MYSQL8);
}

/// Keys that differ by case, accent or trailing blanks are two; a table that takes them for one is refused.
fn keys_stay_apart(kit: &Kit) {
    let items = relation("items", &[("id", DataType::Utf8), ("n", DataType::Int64)], &["id"]);
    let rows = |keys: &[&str]| {
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(keys.to_vec())),
            Arc::new(Int64Array::from_iter_values(0..keys.len() as i64)),
        ];
        Batch::inserts(items.clone(), RecordBatch::try_new(items.columns().clone(), arrays).unwrap()).unwrap()
    };
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(rows(&["a", "A", "a ", "á", "a\0"]));
    writer.flush();
    assert_eq!(writer.bad.take(), []);
    writer.close();
    assert_eq!(bench.read("items").1.len(), 5);
    let bench = Bench::new(kit, json!({}));
    bench.sql(
        "CREATE TABLE items (id VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, n BIGINT) DEFAULT CHARSET utf8mb4",
    );
    let (mut writer, _) = bench.start();
    writer.write(rows(&["a", "A"]));
    let error = writer.try_flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    drop(writer);
    bench.sql(error.hint().unwrap());
    let (mut writer, _) = bench.start();
    writer.write(rows(&["a", "A"]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("items").1, ["A|1", "a|0"], "after the statement of the hint");
}

#[test]
fn keys_stay_apart_in_mariadb() {
    keys_stay_apart(&MARIADB);
}

#[test]
fn keys_stay_apart_in_mysql8() {
    keys_stay_apart(&MYSQL8);
}

/// What doctor proposes is enough for the sink to run.
fn doctor_names_every_missing_privilege(kit: &Kit, kind: Kind) {
    let mut bench = Bench::new(kit, json!({}));
    let url = bench.place["url"].as_str().unwrap().to_owned();
    let database = url.rsplit('/').next().unwrap();
    let user = format!("u{database}");
    bench
        .sql(&format!("CREATE USER '{user}'@'%' IDENTIFIED BY 'p''w'; GRANT SELECT ON `{database}`.* TO '{user}'@'%'"));
    bench.place["url"] = json!(url.replace("cdc:cdc@", &format!("{user}:p'w@")));
    let doctor = |bench: &Bench<'_>| (kit.entry.doctor)(&bench.settings());
    let found: Vec<Finding> = doctor(&bench)
        .into_iter()
        .filter(|finding| !finding.ok && finding.fix.as_ref().is_some_and(|fix| fix.starts_with("GRANT")))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let fix = found[0].fix.clone().unwrap();
    assert!(fix.starts_with("GRANT INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX ON"), "{fix}");
    shared(kind).admin(fix.trim_end_matches(';'));
    assert!(doctor(&bench).iter().all(|finding| finding.ok || !finding.fix.as_ref().unwrap().starts_with("GRANT")));
    let Build::Sink { .. } = kit.entry.build else { panic!("not a sink") };
    let (mut writer, _) = bench.start();
    writer.write(batch(&crate::sql_target::tests::orders(), &[(0, 1, "a")]));
    writer.flush();
    writer.close();
}

#[test]
fn doctor_names_every_missing_privilege_in_mariadb() {
    doctor_names_every_missing_privilege(&MARIADB, Kind::MariaDb);
}

#[test]
fn doctor_names_every_missing_privilege_in_mysql8() {
    doctor_names_every_missing_privilege(&MYSQL8, Kind::MySql8);
}
