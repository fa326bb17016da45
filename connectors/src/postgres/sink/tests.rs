//! PostgresOutput against PostgreSQL 15.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use aqueduct_model::{Batch, Relation, RelationName};
use aqueduct_test_servers::{Database, Kind, shared};
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::{Value, json};

use crate::sql_target::Dialect;
use crate::sql_target::tests::{Bench, Kit, ON_SERVERS, batch, check, orders};

const KIT: Kit = Kit {
    entry: super::OUTPUT,
    dialect: Dialect::Postgres,
    place: |_| place(Kind::Postgres15),
    sql: |place, sql| run(Kind::Postgres15, place, sql),
    cases: 6,
    refuses: &[],
};

/// A schema of its own: a database takes a second to make.
fn place(kind: Kind) -> Value {
    static DATABASE: OnceLock<Database<'static>> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let database = DATABASE.get_or_init(|| shared(kind).database());
    let schema = format!("S{}", NEXT.fetch_add(1, Ordering::Relaxed));
    database.sql(&format!("CREATE SCHEMA \"{schema}\"; GRANT ALL ON SCHEMA \"{schema}\" TO cdc"));
    json!({ "url": database.url("cdc"), "schema": schema })
}

fn run(kind: Kind, place: &Value, sql: &str) -> Vec<String> {
    let database = place["url"].as_str().unwrap().rsplit('/').next().unwrap();
    let mut client = shared(kind).connect_to(database);
    client.sql(&format!("SET search_path TO \"{}\"; SET ROLE cdc", place["schema"].as_str().unwrap()));
    let rows = client.sql(sql);
    let cell = |cell: Option<String>| cell.unwrap_or_else(|| "NULL".to_owned());
    rows.into_iter().map(|row| row.into_iter().map(cell).collect::<Vec<_>>().join("|")).collect()
}

#[test]
fn passes_all_tests_of_a_sql_target() {
    check(&KIT, ON_SERVERS);
}

#[test]
fn the_types_of_the_source_are_kept() {
    let bench = Bench::new(&KIT, json!({}));
    let schema = bench.place["schema"].as_str().unwrap().to_owned();
    bench.sql("CREATE TYPE colour AS ENUM ('red', 'it''s'); CREATE TYPE pair AS (a int, b text)");
    let given: [(&str, &str, [&str; 2]); 14] = [
        ("id", "uuid", ["6f1b1c1e-0000-4000-8000-000000000001", "6f1b1c1e-0000-4000-8000-000000000002"]),
        ("short", "character varying(5)", ["short", "too long"]),
        ("padded", "character(4)", ["ab", "cd"]),
        ("any_number", "numeric", ["NaN", "1.5"]),
        ("document", "jsonb", ["{\"a\": 1}", "[]"]),
        ("plain", "json", ["{ \"b\" : 2 }", "[]"]),
        ("list", "integer[]", ["{1,NULL,3}", "{}"]),
        ("short_list", "character varying(3)[]", ["{abc,d}", "{}"]),
        ("colours", "colour", ["it's", "red"]),
        ("pairs", "pair", ["(1,\"x y\")", "(,)"]),
        ("span", "interval", ["1 year 2 mons -03:04:05.6", "00:00:00"]),
        ("bits", "bit(3)", ["101", "000"]),
        ("address", "inet", ["192.168.0.1/24", "::1"]),
        ("range", "int4range", ["[1,5)", "empty"]),
    ];
    let field = |(i, (name, of_source, _)): (usize, &(&str, &str, [&str; 2]))| {
        // As the capture says it: a type of someone's own with its schema.
        let of_source = match *of_source {
            "colour" | "pair" => format!("\"{schema}\".{of_source}"),
            other => other.to_owned(),
        };
        let metadata = [("source.type".to_owned(), of_source), ("source.number".to_owned(), i.to_string())];
        Field::new(*name, DataType::Utf8, true).with_metadata(HashMap::from(metadata))
    };
    let columns = Arc::new(Schema::new(given.iter().enumerate().map(field).collect::<Vec<_>>()));
    let arrays: Vec<ArrayRef> =
        given.iter().map(|(_, _, cells)| Arc::new(StringArray::from(cells.to_vec())) as ArrayRef).collect();
    let rows = RecordBatch::try_new(columns.clone(), arrays).unwrap();
    let relation = Arc::new(Relation::new(RelationName::table("typed"), columns, &["id"], 1).unwrap());
    let (mut writer, _) = bench.start();
    writer.write(Batch::inserts(relation.clone(), rows.clone()).unwrap());
    writer.flush();
    let bad: Vec<String> = writer.bad.take().into_iter().flat_map(|row| row.reasons).collect();
    assert_eq!(bad, ["a text is too long (SQLSTATE 22001)"], "the varchar that is too long");
    // Once more without its columns: they are read and written back.
    let touched = Batch::changes(relation, rows.slice(0, 1), arrow::array::UInt8Array::from(vec![2])).unwrap();
    let absent = arrow::array::BooleanArray::from(vec![false]);
    writer.write((2..given.len()).fold(touched, |batch, column| batch.with_present(column, absent.clone()).unwrap()));
    writer.flush();
    assert_eq!(writer.bad.take(), []);
    writer.close();
    let types = bench.sql("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'typed'::regclass AND attnum > 0 ORDER BY attnum");
    assert_eq!(types, given.map(|(_, of_source, _)| of_source));
    let read = bench.read_batches("typed").1;
    for (i, (name, ..)) in given.iter().enumerate() {
        let cell = |batch: &RecordBatch| arrow::util::display::array_value_to_string(batch.column(i), 0).unwrap();
        // What is padded is read without its blanks, as PostgreSQL casts it to text.
        assert_eq!(cell(&read[0]), cell(&rows), "{name}");
        assert_eq!(read[0].column(i).len(), 1);
    }
}

#[test]
fn doctor_names_every_missing_right() {
    let mut bench = Bench::new(&KIT, json!({}));
    let url = bench.place["url"].as_str().unwrap().to_owned();
    let schema = bench.place["schema"].as_str().unwrap().to_owned();
    let role = format!("role_{}", schema.to_lowercase());
    let server = shared(Kind::Postgres15);
    let database = url.rsplit('/').next().unwrap();
    server.connect_to(database).sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p'"));
    bench.place["url"] = json!(url.replace("cdc:cdc@", &format!("{role}:p@")));
    let missing = |bench: &Bench<'_>| {
        let findings = (KIT.entry.doctor)(&bench.settings());
        findings.into_iter().filter_map(|finding| finding.fix).filter(|fix| fix.contains("GRANT")).collect::<Vec<_>>()
    };
    let fixes = missing(&bench);
    assert_eq!(fixes.len(), 2, "{fixes:?}");
    for fix in &fixes {
        server.connect_to(database).sql(fix);
    }
    assert_eq!(missing(&bench), [""; 0]);
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    writer.flush();
    writer.close();
    // A schema that does not exist.
    bench.place["schema"] = json!("not there");
    let fixes = missing(&bench);
    assert!(fixes.len() == 1 && fixes[0].contains("CREATE SCHEMA \"not there\" AUTHORIZATION"), "{fixes:?}");
}
