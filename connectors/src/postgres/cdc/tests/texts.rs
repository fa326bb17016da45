//! The text of a row that the server makes is the text of the row that is read, from tables and from the log.

use std::collections::BTreeMap;

use aqueduct_model::Checksum;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int32Type;

use super::*;
use crate::cdc::capture::{KeyRange, TableReader};
use crate::postgres::copy::quoted;
use crate::postgres::row_text;
use crate::row_checksum::{CellText, cell_texts, digests, row_texts};

/// Types, and the values that their texts are compared for.
const COLUMNS: &[(&str, &[&str])] = &[
    ("boolean", &["true", "false"]),
    ("smallint", &["-32768", "32767"]),
    ("integer", &["-2147483648", "2147483647"]),
    ("bigint", &["-9223372036854775808", "9223372036854775807", "0"]),
    ("oid", &["0", "4294967295"]),
    ("numeric(20,4)", &["0", "-0.0001", "1234567890123456.7891", "-1.5", "100"]),
    ("numeric(10,0)", &["0", "-7", "9999999999"]),
    ("numeric(5,5)", &["0.5", "-0.00001", "0"]),
    ("numeric(50,10)", &["1234567890123456789012345678901234567890.0123456789", "-0.0000000001"]),
    ("numeric", &["'NaN'", "1e-30", "123456789.000"]),
    ("date", &["'0001-01-01'", "'9999-12-31'", "'2024-02-29'"]),
    (
        "timestamp",
        &[
            "'0001-01-01 00:00:00.000001'",
            "'9999-12-31 23:59:59.999999'",
            "'2024-02-29 12:00:00.5'",
            "'2024-02-29 12:00:00'",
            "'2000-10-10 10:10:10.10'",
        ],
    ),
    (
        "timestamptz",
        &[
            "'0001-01-01 00:00:00.000001+00'",
            "'9999-12-31 23:59:59.999999+00'",
            "'2024-03-31 02:30:00 Europe/Berlin'",
            "'2024-02-29 12:00:00.12+03'",
        ],
    ),
    ("timestamp(3)", &["'2024-02-29 12:00:00.120'"]),
    ("time", &["'00:00:00'", "'23:59:59.999999'", "'10:00:00.5'"]),
    (
        "text",
        &[
            "''",
            "' '",
            "'ab  '",
            "'ünï 表'",
            "'\u{1F600}'",
            "'it''s'",
            "'\"q\"'",
            "E'back\\\\slash'",
            "'%_'",
            "'a,b'",
            "'3:abc,'",
            "E'\\t\\r\\n\\x01\\x7f'",
            "'NULL'",
        ],
    ),
    ("varchar(40)", &["''", "'x  '"]),
    ("char(5)", &["'ab'", "''", "' a'"]),
    ("name", &["'n'", "''"]),
    ("bytea", &["'\\x00ff'", "''", "'\\xc328'"]),
    ("uuid", &["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"]),
    ("mood", &["'sad'", "'o''k'"]),
    ("code", &["'ab'", "'q'"]),
    ("integer[]", &["'{1,NULL,3}'", "'{}'"]),
    ("inet", &["'10.0.0.1/8'", "'::1'"]),
    ("interval", &["'1 year 2 days 03:04:05'", "'0'"]),
    ("timetz", &["'10:00:00+02'"]),
    ("bit(3)", &["B'101'"]),
    ("money", &["12.5"]),
    ("\"char\"", &["'c'"]),
    ("double precision[]", &["'{0.1,1e300}'"]),
];

fn fill(database: &Database<'_>) {
    let columns: Vec<String> = COLUMNS.iter().enumerate().map(|(i, (kind, _))| format!("c{i} {kind}")).collect();
    database.sql(&format!(
        "CREATE TYPE mood AS ENUM ('sad', 'o''k'); CREATE DOMAIN code AS char(4);
         CREATE TABLE kinds (id int PRIMARY KEY, {}); ALTER TABLE kinds REPLICA IDENTITY FULL",
        columns.join(",")
    ));
}

/// As many rows as a column has values, and one of NULLs.
fn insert(database: &Database<'_>) {
    let most = COLUMNS.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    for row in 0..=most {
        let values: Vec<&str> = COLUMNS.iter().map(|(_, values)| values.get(row).copied().unwrap_or("NULL")).collect();
        database.sql(&format!("INSERT INTO kinds VALUES ({row}, {})", values.join(",")));
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_the_same() {
    on_all(async |server| {
        let database = server.database();
        fill(&database);
        let mut capture = Capture::begin(settings(&database, "texts")).await;
        insert(&database);
        let relation = relations(&mut capture.system).await.remove(0);
        let logged: Vec<RecordBatch> = capture
            .read()
            .await
            .into_iter()
            .flat_map(|item| match item {
                LogItem::Rows { batches, .. } => batches,
                _ => Vec::new(),
            })
            .map(|batch| batch.rows().clone())
            .collect();
        let mut reader = capture.system.reader().await.expect("a reader");
        let all = KeyRange { after: None, up_to: None };
        let mut rows: Vec<RecordBatch> = Vec::new();
        reader.read_chunk(&relation, &all, &capture.begin, &mut rows).await.expect("rows");
        let mut client = database.connect();
        client
            .sql("SET TIME ZONE 'UTC'; SET datestyle = 'ISO, YMD'; SET lc_monetary = 'C'; SET extra_float_digits = 3");
        for (i, field) in relation.columns().fields().iter().enumerate() {
            let text = CellText::of(field).unwrap_or_else(|| panic!("{field} has no text"));
            // What is no text in binary is asked for as one.
            let name = match (i.checked_sub(1).map(|i| COLUMNS[i].0), text) {
                (Some("inet"), _) => "pg_catalog.textin(pg_catalog.inet_out(".to_owned() + &quoted(field.name()) + "))",
                (Some("text" | "varchar(40)" | "char(5)" | "name" | "code"), _) => quoted(field.name()),
                (_, CellText::Text) => format!("{}::text", quoted(field.name())),
                _ => quoted(field.name()),
            };
            let cell = row_text::cell(&name, text).unwrap_or_else(|| panic!("{field} has no text here")).join(",");
            let served: BTreeMap<i32, String> = client
                .sql(&format!("SELECT id, concat({cell}) FROM kinds"))
                .iter()
                .map(|row| {
                    (row[0].as_ref().expect("an id").parse().expect("a number"), row[1].clone().expect("a text"))
                })
                .collect();
            assert_eq!(of_rows(&rows, i), served, "{field} as it is read");
            assert_eq!(of_rows(&logged, i), served, "{field} as it is logged");
        }
        let (_, checksum) =
            reader.sum_chunk(&relation, &all, &capture.begin).await.expect("a sum").expect("all have texts");
        assert_eq!(checksum, sum(&relation, &rows));
        capture.end().await;
    })
    .await;
}

/// What the reader refuses or writes in another way must not lead to its sum; what has no text has no sum.
#[tokio::test(flavor = "multi_thread")]
async fn other_values_have_other_sums_or_none() {
    on_all(async |server| {
        let database = server.database();
        database.sql(
            "CREATE TABLE a (id int PRIMARY KEY, v date); INSERT INTO a VALUES (1, 'infinity');
             CREATE TABLE b (id int PRIMARY KEY, v timestamptz); INSERT INTO b VALUES (1, '0044-03-15 BC');
             CREATE TABLE c (id int PRIMARY KEY, v double precision); CREATE TABLE d (id int PRIMARY KEY, v jsonb);
             CREATE TABLE e (id int PRIMARY KEY, v timestamp); INSERT INTO e VALUES (1, '-infinity')",
        );
        let null = Settings { unrepresentable: Unrepresentable::Null, ..settings(&database, "other") };
        let mut capture = Capture::begin(null).await;
        let mut reader = capture.system.reader().await.expect("a reader");
        let all = KeyRange { after: None, up_to: None };
        for relation in relations(&mut capture.system).await {
            let summed = reader.sum_chunk(&relation, &all, &capture.begin).await.expect("an answer");
            if matches!(relation.name().table.as_str(), "a" | "b" | "e") {
                let mut rows: Vec<RecordBatch> = Vec::new();
                reader.read_chunk(&relation, &all, &capture.begin, &mut rows).await.expect("rows");
                assert_ne!(summed.map(|(_, checksum)| checksum), Some(sum(&relation, &rows)), "{}", relation.name());
            } else {
                assert!(summed.is_none(), "{}", relation.name());
            }
        }
        capture.end().await;
    })
    .await;
}
