//! The text of a row that the server makes is the text of the row that is read, from tables and from the log.

use std::collections::BTreeMap;

use aqueduct_model::Checksum;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{FieldRef, Int32Type};

use super::*;
use crate::cdc::capture::{KeyRange, TableReader};
use crate::mysql::row_text;
use crate::mysql::rows::quoted;
use crate::row_checksum::{CellText, cell_texts, digests, row_texts};

/// Types, and the values that their texts are compared for.
const COLUMNS: &[(&str, &[&str])] = &[
    ("tinyint", &["-128", "127", "0"]),
    ("tinyint(1)", &["2", "0", "-1"]),
    ("tinyint unsigned zerofill", &["0", "5", "255"]),
    ("smallint", &["-32768", "32767"]),
    ("mediumint unsigned", &["0", "16777215"]),
    ("int zerofill", &["0", "42"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807"]),
    ("bigint unsigned", &["0", "9223372036854775808", "18446744073709551615"]),
    ("decimal(20,4)", &["0", "-0.0001", "1234567890123456.7891", "-1.5", "100"]),
    ("decimal(10,0)", &["0", "-7", "9999999999"]),
    ("decimal(65,30)", &["-0.000000000000000000000000000001", "99999999999999999999999999999999999.5"]),
    ("decimal(5,5)", &["0.5", "-0.00001", "0"]),
    ("bit(1)", &["b'0'", "b'1'"]),
    ("bit(9)", &["0", "257", "511"]),
    ("bit(64)", &["0", "18446744073709551615"]),
    ("year", &["1901", "2155", "0"]),
    ("date", &["'1000-01-01'", "'9999-12-31'", "'2024-02-29'", "'0001-01-01'"]),
    (
        "datetime(6)",
        &[
            "'1000-01-01 00:00:00.000001'",
            "'9999-12-31 23:59:59.999999'",
            "'2024-02-29 10:20:30.500000'",
            "'2024-03-31 02:30:00'",
        ],
    ),
    ("datetime(3)", &["'2024-02-29 10:20:30.120'", "'2024-02-29 10:20:00'"]),
    ("datetime", &["'2024-02-29 10:20:30'", "'2000-10-10 10:10:00'"]),
    ("timestamp(6) NULL", &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.999999'", "'2024-03-31 01:00:00.100000'"]),
    ("timestamp NULL", &["'2024-10-27 00:59:59'", "'2024-10-27 01:00:00'"]),
    ("time(6)", &["'838:59:59'", "'-838:59:59'", "'-00:00:00.5'", "'00:00:00'", "'23:59:59.000001'", "'100:00:00.25'"]),
    ("time", &["'-00:00:01'", "'12:00:00'"]),
    (
        "varchar(40) character set utf8mb4 collate utf8mb4_bin",
        &[
            "''",
            "' '",
            "'ab  '",
            "'ünï 表'",
            "'\u{1F600}'",
            "'it''s'",
            "'\"q\"'",
            "'back\\\\slash'",
            "'%_'",
            "'a,b'",
            "'3:abc,'",
            "'\\t\\r\\n'",
            "x'017f'",
            "'NULL'",
        ],
    ),
    ("varchar(20) character set latin1 collate latin1_general_cs", &["'é'", "'\u{20ac}'", "''"]),
    ("varchar(20) character set utf8mb3", &["'ü表'", "'A'"]),
    ("varchar(20) character set utf8mb4 collate utf8mb4_unicode_ci", &["'ß'", "'SS'"]),
    ("varchar(20) character set ucs2", &["'表'", "'x'"]),
    ("varchar(20) character set sjis", &["'表'", "'ｱ'"]),
    ("char(5)", &["'ab'", "''", "'a b'"]),
    ("tinytext", &["'x'", "''"]),
    ("longtext character set utf8mb4", &["repeat('表', 70000)", "'long\\nline'"]),
    ("enum('a','b''c','ü')", &["'a'", "'b''c'", "'ü'"]),
    ("set('x','y','z')", &["''", "'x,z'"]),
    ("binary(4)", &["x'00ff0000'", "x''"]),
    ("varbinary(9)", &["x'00'", "x''", "'a,\\\\'"]),
    ("blob", &["x'c328'", "''"]),
];

fn fill(database: &Database<'_>) {
    let columns: Vec<String> = COLUMNS.iter().enumerate().map(|(i, (kind, _))| format!("c{i} {kind}")).collect();
    database.sql(&format!("CREATE TABLE kinds (id int PRIMARY KEY, {}) CHARACTER SET utf8mb4", columns.join(",")));
}

/// As many rows as a column has values, and one of NULLs.
fn insert(database: &Database<'_>) {
    let most = COLUMNS.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    for row in 0..=most {
        let values: Vec<&str> = COLUMNS.iter().map(|(_, values)| values.get(row).copied().unwrap_or("NULL")).collect();
        database.sql(&format!("INSERT INTO kinds VALUES ({row}, {})", values.join(",")));
    }
}

/// By id: the texts of a column as the server makes them.
fn of_server(database: &Database<'_>, field: &FieldRef) -> BTreeMap<i32, String> {
    let metadata = |name: &str| field.metadata().get(name).map(String::as_str).unwrap_or_default();
    let text = CellText::of(field).unwrap_or_else(|| panic!("{field} has no text"));
    let is_utf8mb4 = metadata("source.charset") == "utf8mb4";
    let cell = row_text::cell(&quoted(field.name()), text, metadata("source.type"), is_utf8mb4);
    let cell = cell.unwrap_or_else(|| panic!("{field} has no text here"));
    let mut client = database.connect();
    client.sql("SET NAMES utf8mb4, time_zone='+00:00', sql_mode='ALLOW_INVALID_DATES'");
    let rows = client.sql(&format!("SELECT id, HEX(CONCAT({cell})) FROM kinds"));
    let of = |row: &Vec<Option<String>>| {
        let (id, hex) = (row[0].as_ref().expect("an id"), row[1].as_ref().expect("a text"));
        let byte = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex");
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        (id.parse().expect("a number"), String::from_utf8(bytes).expect("UTF-8"))
    };
    rows.iter().map(of).collect()
}

/// By id: the texts of a column that was read.
fn of_rows(batches: &[RecordBatch], column: usize) -> BTreeMap<i32, String> {
    let mut found = BTreeMap::new();
    for batch in batches {
        let text = CellText::of(batch.schema().field(column)).expect("a text");
        let texts = row_texts(&[text], &batch.project(&[column]).expect("a column"));
        let ids = batch.column(0).as_primitive::<Int32Type>();
        found.extend(ids.values().iter().copied().zip(texts));
    }
    found
}

fn sum(relation: &Relation, batches: &[RecordBatch]) -> Checksum {
    let texts = cell_texts(relation).expect("texts");
    let mut checksum = Checksum::default();
    batches.iter().flat_map(|rows| digests(&texts, rows).expect("digests")).for_each(|digest| checksum.add(digest));
    checksum
}

async fn texts_are_the_same_on(kind: Kind) {
    let database = server(kind).database();
    fill(&database);
    let (mut system, mark) = streaming(&database).await;
    insert(&database);
    let relation = relations(&mut system).await.remove(0);
    let logged: Vec<RecordBatch> = read_all(&mut system, false)
        .await
        .into_iter()
        .flat_map(|item| match item {
            LogItem::Rows { batches, .. } => batches,
            _ => Vec::new(),
        })
        .map(|batch| batch.rows().clone())
        .collect();
    let mut reader = system.reader().await.expect("a reader");
    let all = KeyRange { after: None, up_to: None };
    let mut rows: Vec<RecordBatch> = Vec::new();
    reader.read_chunk(&relation, &all, &mark, &mut rows).await.expect("rows");
    for (i, field) in relation.columns().fields().iter().enumerate() {
        let served = of_server(&database, field);
        assert_eq!(of_rows(&rows, i), served, "{kind:?}: {field} as it is read");
        assert_eq!(of_rows(&logged, i), served, "{kind:?}: {field} as it is logged");
    }
    let (_, checksum) = reader.sum_chunk(&relation, &all, &mark).await.expect("a sum").expect("all have texts");
    assert_eq!(checksum, sum(&relation, &rows), "{kind:?}");
    let some = KeyRange { after: Some(key(&rows[0], 1)), up_to: Some(key(&rows[0], 4)) };
    let mut rows: Vec<RecordBatch> = Vec::new();
    reader.read_chunk(&relation, &some, &mark, &mut rows).await.expect("rows");
    let (_, checksum) = reader.sum_chunk(&relation, &some, &mark).await.expect("a sum").expect("all have texts");
    assert_eq!((checksum, checksum.rows), (sum(&relation, &rows), 3), "{kind:?}");
    system.close().await.expect("closes");
}

fn key(rows: &RecordBatch, row: usize) -> RecordBatch {
    rows.project(&[0]).expect("a key").slice(row, 1)
}

#[tokio::test]
async fn texts_are_the_same_on_mariadb() {
    texts_are_the_same_on(Kind::MariaDb).await;
}

#[tokio::test]
async fn texts_are_the_same_on_mysql8() {
    texts_are_the_same_on(Kind::MySql8).await;
}

/// What the reader turns into something else must not lead to the sum of that; what has no text has no sum.
#[tokio::test]
async fn other_values_have_other_sums_or_none() {
    for kind in KINDS {
        let database = server(kind).database();
        let mut client = database.connect();
        client.sql("SET sql_mode='ALLOW_INVALID_DATES'");
        client.sql(
            "CREATE TABLE a (id int PRIMARY KEY, d date); INSERT INTO a VALUES (1,'0000-00-00');
             CREATE TABLE b (id int PRIMARY KEY, d datetime(6)); INSERT INTO b VALUES (1,'2024-02-30 10:00:00');
             CREATE TABLE c (id int PRIMARY KEY, d double); CREATE TABLE e (id int PRIMARY KEY, d json);
             CREATE TABLE f (id int PRIMARY KEY, d point)",
        );
        let (mut system, mark) = streaming(&database).await;
        let mut reader = system.reader().await.expect("a reader");
        let all = KeyRange { after: None, up_to: None };
        for relation in relations(&mut system).await {
            let summed = reader.sum_chunk(&relation, &all, &mark).await.expect("an answer");
            if matches!(relation.name().table.as_str(), "a" | "b") {
                let mut rows: Vec<RecordBatch> = Vec::new();
                reader.read_chunk(&relation, &all, &mark, &mut rows).await.expect("rows");
                assert_ne!(summed.map(|(_, checksum)| checksum), Some(sum(&relation, &rows)), "{}", relation.name());
            } else {
                // MariaDB's JSON is a text, and stays the one that was written.
                let is_text = relation.name().table == "e" && kind == Kind::MariaDb;
                assert_eq!(summed.is_some(), is_text, "{kind:?}: {}", relation.name());
            }
        }
        system.close().await.expect("closes");
    }
}
