//! Rows of real servers.

use std::sync::Arc;

use aqueduct_model::Relation;
use aqueduct_model::conformance::record_texts;
use aqueduct_test_servers::{Database, Kind, shared};
use arrow::array::{AsArray, RecordBatch};

use super::{CopyRows, Select, Unrepresentable, beside, order_by, read_rows, table_name};
use crate::postgres::address::Address;
use crate::postgres::connection::{Purpose, Session, connect};
use crate::postgres::table::{describe, list};
use crate::sql_input::{ReadLimits, Side};

const SERVERS: [Kind; 2] = [Kind::Postgres15, Kind::Postgres18];

async fn session(database: &Database<'_>) -> Session {
    connect(&Address::parse(&database.url("cdc")).unwrap(), Purpose::Read).await.unwrap()
}

async fn planned(session: &Session, table: &str) -> (Arc<Relation>, Select) {
    let names = list(session, false).await.unwrap();
    let found = names.into_iter().find(|name| name.name.table == table).unwrap();
    let relation = describe(session, &[found.oid], true).await.unwrap().pop().unwrap().relation;
    let select = Select::plan(session, &table_name(relation.name()), &relation).await.unwrap();
    (relation, select)
}

async fn all(session: &Session, sql: &str, relation: &Arc<Relation>) -> Vec<RecordBatch> {
    let mut batches = Vec::new();
    let keep = |rows| {
        batches.push(rows);
        Ok(())
    };
    read_rows(session, sql, relation, Unrepresentable::Null, 1_000, keep).await.unwrap();
    batches
}

/// All rows of a table in the order of its key.
async fn read(database: &Database<'_>, table: &str) -> (Arc<Relation>, Vec<RecordBatch>) {
    let session = session(database).await;
    let (relation, select) = planned(&session, table).await;
    let sql = format!("{} ORDER BY {}", select.sql(), order_by(&relation, relation.key()));
    let batches = all(&session, &sql, &relation).await;
    (relation, batches)
}

fn texts(batches: &[RecordBatch]) -> Vec<String> {
    batches.iter().flat_map(|rows| record_texts(rows).unwrap()).collect()
}

/// Column type, and values each with the text that is expected of its Arrow value.
type Case = (&'static str, &'static [(&'static str, &'static str)]);

const TYPES: &[Case] = &[
    ("boolean", &[("true", "true"), ("false", "false")]),
    ("smallint", &[("-32768", "-32768"), ("32767", "32767")]),
    ("integer", &[("-2147483648", "-2147483648")]),
    ("bigint", &[("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807")]),
    ("oid", &[("4294967295", "4294967295")]),
    ("real", &[("0.1", "0.1"), ("'-0'", "-0.0"), ("'NaN'", "NaN"), ("'infinity'", "inf"), ("1e-45", "1e-45")]),
    ("double precision", &[("0.1", "0.1"), ("1.7976931348623157e308", "1.7976931348623157e308")]),
    (
        "numeric(10,2)",
        &[("-0.01", "-0.01"), ("12345678.90", "12345678.90"), ("0", "0.00"), ("-12345678.99", "-12345678.99")],
    ),
    ("numeric(38,0)", &[("99999999999999999999999999999999999999", "99999999999999999999999999999999999999")]),
    (
        "numeric(60,20)",
        &[(
            "-1234567890123456789012345678901234567890.00000000000000000001",
            "-1234567890123456789012345678901234567890.00000000000000000001",
        )],
    ),
    (
        "numeric",
        &[
            ("'NaN'", "NaN"),
            ("'-Infinity'", "-Infinity"),
            ("1.50", "1.50"),
            ("1e30", "1000000000000000000000000000000"),
        ],
    ),
    ("numeric(3,-2)", &[("12345", "12300")]),
    ("money", &[("1234.5", "$1,234.50")]),
    ("text", &[("'é😀'", "é😀"), ("''", "")]),
    ("varchar(9)", &[("'a '", "a ")]),
    ("char(5)", &[("'ab'", "ab   ")]),
    ("\"char\"", &[("'x'", "x")]),
    ("name", &[("'n'", "n")]),
    ("bytea", &[("'\\x00ff5c'", "00ff5c"), ("''", "")]),
    (
        "date",
        &[
            ("'2024-02-29'", "2024-02-29"),
            ("'0001-01-01'", "0001-01-01"),
            ("'infinity'", "NULL"),
            ("'0044-03-15 BC'", "-0043-03-15"),
        ],
    ),
    ("time", &[("'23:59:59.999999'", "23:59:59.999999"), ("'24:00:00'", "NULL")]),
    ("timestamp", &[("'1000-01-01 00:00:00.000001'", "1000-01-01T00:00:00.000001"), ("'-infinity'", "NULL")]),
    ("timestamptz(3)", &[("'2024-10-27 02:30:00.123+02'", "2024-10-27T00:30:00.123Z")]),
    ("timetz", &[("'24:00:00+05:30'", "24:00:00+05:30")]),
    ("interval", &[("'-1 year 2 months -3 days 04:05:06.789'", "-10 mons -3 days +04:05:06.789")]),
    ("uuid", &[("'550e8400-e29b-41d4-a716-446655440000'", "550e8400-e29b-41d4-a716-446655440000")]),
    ("json", &[("'{\"a\": 1,  \"a\": 2}'", "{\"a\": 1,  \"a\": 2}")]),
    ("jsonb", &[("'{\"b\": 12345678901234567890123, \"a\": []}'", "{\"a\": [], \"b\": 12345678901234567890123}")]),
    ("xml", &[("'<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>1</a>'", "<a>1</a>")]),
    ("inet", &[("'10.0.0.1'", "10.0.0.1"), ("'10.0.0.0/8'", "10.0.0.0/8"), ("'::1'", "::1")]),
    ("cidr", &[("'10.0.0.0/8'", "10.0.0.0/8")]),
    ("macaddr8", &[("'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05")]),
    ("bit(3)", &[("B'101'", "101")]),
    ("varbit", &[("B'1'", "1"), ("B''", "")]),
    ("tsvector", &[("'a:1 b:2'", "'a':1 'b':2")]),
    ("pg_lsn", &[("'16/B374D848'", "16/B374D848")]),
    ("point", &[("'(1,2.5)'", "(1,2.5)")]),
    (
        "integer[]",
        &[
            ("'{1,NULL,3}'", "{1,NULL,3}"),
            ("'{}'", "{}"),
            ("'[0:1]={1,2}'", "[0:1]={1,2}"),
            ("'{{1,2},{3,4}}'", "{{1,2},{3,4}}"),
        ],
    ),
    ("text[]", &[("ARRAY['a,b','c\"d',NULL,'NULL']", "{\"a,b\",\"c\\\"d\",NULL,\"NULL\"}")]),
    ("float8[]", &[("'{0.1,NaN}'", "{0.1,NaN}")]),
    ("int4range", &[("'[1,5]'", "[1,6)"), ("'empty'", "empty")]),
    ("nummultirange", &[("'{[1,2),(3,4]}'", "{[1,2),(3,4]}")]),
    ("tstzrange", &[("'[2024-01-01 00:00+01,)'", "[\"2023-12-31 23:00:00+00\",)")]),
    ("colour", &[("'re d'", "re d")]),
    ("colour[]", &[("'{\"re d\",blue}'", "{\"re d\",blue}")]),
    ("pair", &[("ROW(1,'x y')", "(1,\"x y\")")]),
    ("short", &[("'ab'", "ab   ")]),
    ("hue", &[("'blue'", "blue")]),
    ("address", &[("'10.0.0.1'", "10.0.0.1")]),
    ("amount", &[("1.5", "1.50")]),
    ("citext", &[("'Ab'", "Ab")]),
    ("hstore", &[("'a=>1, b=>NULL'", "\"a\"=>\"1\", \"b\"=>NULL")]),
    ("ltree", &[("'a.b'", "a.b")]),
];

const DEFINITIONS: &str = "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; \
    CREATE TYPE colour AS ENUM ('re d', 'blue'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN short AS char(5); \
    CREATE DOMAIN hue AS colour; CREATE DOMAIN address AS inet; CREATE DOMAIN cents AS numeric(8,2); \
    CREATE DOMAIN amount AS cents CHECK (VALUE > 0);";

/// What this server does not come with.
fn is_missing(server: Kind, column_type: &str) -> bool {
    server == Kind::Postgres18 && ["citext", "hstore", "ltree", "xml"].contains(&column_type)
}

#[tokio::test]
async fn every_type_arrives_as_it_is_stored() {
    for server in SERVERS {
        let database = shared(server).database();
        for statement in DEFINITIONS.split_inclusive(';') {
            if !is_missing(server, statement.trim().trim_start_matches("CREATE EXTENSION ").trim_end_matches(';')) {
                database.sql(statement);
            }
        }
        for (i, (column_type, values)) in TYPES.iter().enumerate() {
            if is_missing(server, column_type) {
                continue;
            }
            let rows: Vec<String> =
                values.iter().enumerate().map(|(id, (value, _))| format!("({id},{value})")).collect();
            database.sql(&format!(
                "CREATE TABLE t{i} (id int PRIMARY KEY, v {column_type}); INSERT INTO t{i} VALUES {}, (100, NULL)",
                rows.join(",")
            ));
            let (_, batches) = read(&database, &format!("t{i}")).await;
            let mut expected: Vec<String> =
                values.iter().enumerate().map(|(id, (_, text))| format!("{id}|{text}")).collect();
            expected.push("100|NULL".to_owned());
            assert_eq!(texts(&batches), expected, "{server:?} {column_type}");
        }
    }
}

#[tokio::test]
async fn what_arrow_cannot_hold_makes_a_bad_row() {
    let database = shared(Kind::Postgres15).database();
    database.sql(
        "CREATE TABLE t (id int PRIMARY KEY, d date, n numeric(5,2)); \
         INSERT INTO t VALUES (1,'infinity',1),(2,'2024-01-01','NaN'),(3,'2024-01-01',1)",
    );
    let session = session(&database).await;
    let (relation, select) = planned(&session, "t").await;
    let sql = format!("{} ORDER BY id", select.sql());
    let mut rows = CopyRows::start(&session, &sql, &relation, Unrepresentable::Error).await.unwrap();
    let block = rows.next(ReadLimits { rows: 10, bytes: 1 << 20 }).await.unwrap().unwrap();
    assert_eq!((block.read, texts(&[block.rows])), (3, vec!["3|2024-01-01|1.00".to_owned()]));
    let reasons: Vec<&str> = block.refused.iter().map(|bad| bad.reasons[0].as_str()).collect();
    assert!(
        reasons[0].starts_with("column d: Arrow cannot hold") && reasons[1].starts_with("column n:"),
        "{reasons:?}"
    );
}

/// Cuts a table into ranges of its key, and finds every row once.
async fn ranges(database: &Database<'_>, table: &str, rows_per_range: usize) -> Vec<String> {
    let session = session(database).await;
    let (relation, select) = planned(&session, table).await;
    let (key, order) = (relation.key(), order_by(&relation, relation.key()));
    let mut found = Vec::new();
    let mut edge: Option<RecordBatch> = None;
    loop {
        let above = edge.as_ref().map(|edge| beside(&relation, key, Side::Above, edge).unwrap());
        let condition = above.as_ref().map(|above| format!("WHERE {above}")).unwrap_or_default();
        let sql = format!("{} {condition} ORDER BY {order} LIMIT {rows_per_range}", select.sql());
        let chunk = all(&session, &sql, &relation).await;
        let Some(last) = chunk.last() else { return found };
        let upper = last.slice(last.num_rows() - 1, 1).project(key).unwrap();
        let mut conditions = vec![beside(&relation, key, Side::UpTo, &upper).unwrap()];
        conditions.extend(above);
        let sql = format!("{} WHERE {} ORDER BY {order}", select.sql(), conditions.join(" AND "));
        assert_eq!(texts(&all(&session, &sql, &relation).await), texts(&chunk), "the range between two edges");
        found.extend(texts(&chunk));
        edge = Some(upper);
    }
}

#[tokio::test]
async fn ranges_of_every_kind_of_key_hold_each_row_once() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TYPE colour AS ENUM ('z', 'a''\\', 'm')");
    for (i, (columns, rows)) in [
        ("a bigint PRIMARY KEY", "(-1),(0),(9223372036854775807)"),
        ("a int, b text, PRIMARY KEY (b, a)", r"(1,'b'),(2,'A'),(3,'it''s \ a'),(4,'a'),(5,'é'),(6,'')"),
        ("a text COLLATE \"C\" PRIMARY KEY", "('b'),('A'),('B'),('a'),('😀')"),
        ("a char(3) PRIMARY KEY", "('b'),('A '),('a b'),('')"),
        (
            "a numeric(30,10) PRIMARY KEY",
            "(-1.5),(0),(10000000000000000000.0000000001),(10000000000000000000.0000000002)",
        ),
        ("a numeric PRIMARY KEY", "(-1.5),(0),(1e50),('NaN'),('Infinity')"),
        ("a date PRIMARY KEY", "('0044-03-15 BC'),('2024-01-01'),('9999-12-31')"),
        ("a timestamp PRIMARY KEY", "('2024-01-01 00:00:00.000001'),('2024-01-01 00:00:00.000002'),('0001-01-01 BC')"),
        ("a timestamptz PRIMARY KEY", "('2024-01-01 00:00:00.001+05'),('2024-01-01 00:00:00.002')"),
        ("a time PRIMARY KEY", "('00:00'),('23:59:59.999999')"),
        ("a uuid PRIMARY KEY", "('550e8400-e29b-41d4-a716-446655440000'),('00000000-e29b-41d4-a716-446655440000')"),
        ("a colour PRIMARY KEY", r"('z'),('a''\'),('m')"),
        ("a bytea, b bool, PRIMARY KEY (a, b)", "('',true),('\\x00',false),('\\x00',true),('\\xfffe',false)"),
        ("a float8 PRIMARY KEY", "(-1e300),(0.1),(0.30000000000000004),(5e-324),('NaN'),('infinity')"),
        ("a int[] PRIMARY KEY", "('{1,2}'),('{}'),('{NULL}')"),
        ("a inet PRIMARY KEY", "('10.0.0.1'),('10.0.0.0/8')"),
        ("a int, b int, c int, PRIMARY KEY (c, a, b)", "(1,1,1),(1,2,1),(2,1,1),(1,1,2),(2,2,2),(0,9,2)"),
    ]
    .into_iter()
    .enumerate()
    {
        database.sql(&format!("CREATE TABLE k{i} ({columns}); INSERT INTO k{i} VALUES {rows}"));
        let whole = usize::try_from(database.number(&format!("SELECT count(*) FROM k{i}"))).unwrap();
        let expected = ranges(&database, &format!("k{i}"), whole + 1).await;
        assert_eq!(expected.len(), whole, "{columns}");
        for rows_per_range in [1, 2, 3] {
            let found = ranges(&database, &format!("k{i}"), rows_per_range).await;
            assert_eq!(found, expected, "{columns} in ranges of {rows_per_range}");
        }
    }
}

#[tokio::test]
async fn many_columns_big_values_and_odd_names() {
    let database = shared(Kind::Postgres15).database();
    let columns: Vec<String> = (0..1_599).map(|i| format!("c{i} int")).collect();
    let values: Vec<String> = (0..1_599).map(|i| if i % 3 == 0 { "NULL".to_owned() } else { i.to_string() }).collect();
    database.sql(&format!("CREATE TABLE wide (id int PRIMARY KEY, {})", columns.join(",")));
    database.sql(&format!("INSERT INTO wide VALUES (1,{})", values.join(",")));
    let (_, batches) = read(&database, "wide").await;
    assert_eq!(texts(&batches), [format!("1|{}", values.join("|"))]);

    let sizes = [0, 1 << 20, (64 << 20) + 1];
    database.sql("CREATE TABLE big (id int PRIMARY KEY, v bytea, t text)");
    for (id, size) in sizes.iter().enumerate() {
        database
            .sql(&format!("INSERT INTO big VALUES ({id}, decode(repeat('ab', {size}), 'hex'), repeat('x', {size}))"));
    }
    let (_, batches) = read(&database, "big").await;
    let found: Vec<usize> = batches
        .iter()
        .flat_map(|rows| rows.column(1).as_binary::<i32>().iter().flatten().map(<[u8]>::len).collect::<Vec<_>>())
        .collect();
    assert_eq!(found, sizes);

    let odd = "a\"b.c `d' %_é select";
    let escaped = odd.replace('"', "\"\"");
    database.sql(&format!(
        "CREATE SCHEMA \"{escaped}\"; CREATE TYPE \"{escaped}\".\"{escaped}?\" AS ENUM ('x'); \
         CREATE TABLE \"{escaped}\".\"{escaped}\" (\"{escaped}\" \"{escaped}\".\"{escaped}?\" PRIMARY KEY, gone int, g int GENERATED ALWAYS AS (7) STORED); \
         ALTER TABLE \"{escaped}\".\"{escaped}\" DROP COLUMN gone; INSERT INTO \"{escaped}\".\"{escaped}\" VALUES ('x')"
    ));
    assert_eq!(ranges(&database, odd, 1).await, ["x|7"]);
}

#[tokio::test]
async fn blocks_are_bounded_by_rows_and_bytes() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1,100) i");
    let session = session(&database).await;
    let (relation, select) = planned(&session, "t").await;
    for (limits, expected) in [
        (ReadLimits { rows: 30, bytes: 1 << 20 }, vec![30, 30, 30, 10]),
        (ReadLimits { rows: 1_000, bytes: 50_000 }, vec![50, 50]),
        (ReadLimits { rows: 0, bytes: 0 }, vec![1; 100]),
    ] {
        let mut rows = CopyRows::start(&session, &select.sql(), &relation, Unrepresentable::Error).await.unwrap();
        let mut found = Vec::new();
        while let Some(block) = rows.next(limits).await.unwrap() {
            found.push(block.read);
        }
        assert_eq!(found, expected, "{limits:?}");
        assert!(rows.next(limits).await.unwrap().is_none(), "the end stays the end");
    }
    let mut left = CopyRows::start(&session, &select.sql(), &relation, Unrepresentable::Error).await.unwrap();
    left.next(ReadLimits { rows: 1, bytes: 1 }).await.unwrap();
    drop(left);
    assert_eq!(all(&session, &format!("{} LIMIT 1", select.sql()), &relation).await.len(), 1, "a COPY may be left");
}
