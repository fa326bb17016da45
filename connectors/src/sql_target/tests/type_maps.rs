//! `docs/type-maps.md`: what a column of one system becomes in another, as the code has it.

use std::path::Path;

use arrow::datatypes::{DataType, Field};
use tokio_postgres::types::Type;

use super::super::column_type::storage;
use super::super::{Dialect, mysql_type, postgres_type};
use crate::mysql::{ColumnSpec, ZeroDates};
use crate::postgres::ColumnType;

const MYSQL: &[&str] = &[
    "tinyint(1)",
    "tinyint unsigned",
    "smallint",
    "mediumint",
    "mediumint unsigned",
    "int",
    "int unsigned",
    "bigint",
    "bigint unsigned",
    "decimal(12,2)",
    "decimal(65,30)",
    "float",
    "double",
    "bit(1)",
    "bit(9)",
    "date",
    "datetime",
    "datetime(6)",
    "timestamp",
    "time(3)",
    "year",
    "char(5)",
    "varchar(40)",
    "text",
    "enum('a','b')",
    "set('x','y')",
    "binary(4)",
    "varbinary(9)",
    "blob",
    "json",
    "geometry",
    "uuid",
    "inet6",
];

/// Text, base type and modifier.
const POSTGRES: &[(&str, Type, i32)] = &[
    ("boolean", Type::BOOL, -1),
    ("smallint", Type::INT2, -1),
    ("integer", Type::INT4, -1),
    ("bigint", Type::INT8, -1),
    ("oid", Type::OID, -1),
    ("numeric(12,2)", Type::NUMERIC, ((12 << 16) | 2) + 4),
    ("numeric(60,10)", Type::NUMERIC, ((60 << 16) | 10) + 4),
    ("numeric", Type::NUMERIC, -1),
    ("real", Type::FLOAT4, -1),
    ("double precision", Type::FLOAT8, -1),
    ("date", Type::DATE, -1),
    ("time without time zone", Type::TIME, -1),
    ("time with time zone", Type::TIMETZ, -1),
    ("timestamp without time zone", Type::TIMESTAMP, -1),
    ("timestamp with time zone", Type::TIMESTAMPTZ, -1),
    ("interval", Type::INTERVAL, -1),
    ("character varying(40)", Type::VARCHAR, 44),
    ("text", Type::TEXT, -1),
    ("bytea", Type::BYTEA, -1),
    ("uuid", Type::UUID, -1),
    ("json", Type::JSON, -1),
    ("jsonb", Type::JSONB, -1),
    ("integer[]", Type::INT4_ARRAY, -1),
    ("inet", Type::INET, -1),
    ("bit(3)", Type::BIT, 3),
    ("money", Type::MONEY, -1),
    ("int4range", Type::INT4_RANGE, -1),
];

/// What SQLite's declared types are read as.
const SQLITE: &[(&str, DataType)] = &[
    ("INTEGER", DataType::Int64),
    ("REAL", DataType::Float64),
    ("DECIMAL(12,2)", DataType::Decimal128(12, 2)),
    ("BOOLEAN", DataType::Boolean),
    ("TEXT, or none", DataType::Utf8),
    ("BLOB", DataType::Binary),
    ("DATE with `dates: parse`", DataType::Date32),
];

fn mysql(source_type: &str) -> Field {
    let spec =
        ColumnSpec { name: "c".into(), source_type: source_type.into(), nullable: true, ..ColumnSpec::default() };
    let is_text = ["char", "varchar", "text", "enum", "set"].iter().any(|text| source_type.starts_with(text));
    let charset = is_text.then(|| "utf8mb4".to_owned());
    let collation = is_text.then(|| "utf8mb4_general_ci".to_owned());
    ColumnSpec { charset, collation, ..spec }.field(ZeroDates::Null)
}

fn row(source: &str, field: &Field) -> String {
    let generic = |dialect| storage(dialect, field, 0).map_or("refused".to_owned(), |storage| storage.sql);
    let in_mysql = mysql_type::native(field, false).map(|native| native.sql());
    let in_postgres = postgres_type::native(field);
    let cells = [
        generic(Dialect::Sqlite),
        generic(Dialect::DuckDb),
        in_postgres.unwrap_or_else(|| generic(Dialect::Postgres)),
        in_mysql.unwrap_or_else(|| generic(Dialect::MySql)),
    ];
    let json = if field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.json") {
        " (`arrow.json`)"
    } else {
        ""
    };
    let cells: Vec<String> = cells.iter().map(|sql| format!("`{}`", sql.replace('|', "\\|"))).collect();
    format!("| `{source}` | {}{json} | {} |\n", field.data_type(), cells.join(" | "))
}

fn section(title: &str, rows: impl Iterator<Item = String>) -> String {
    let head = "| column | Arrow | SQLite | DuckDB | PostgreSQL | MySQL, MariaDB |\n|---|---|---|---|---|---|\n";
    format!("\n## From {title}\n\n{head}{}", rows.collect::<String>())
}

fn page() -> String {
    let mut text = "# Type maps\n\nWhat a column outside of the key becomes in a table that a target makes. Made from the \
                    code by a test, which checks that it is up to date: `AQUEDUCT_WRITE_DOCS=1 cargo test --workspace \
                    --features failpoints type_maps`. In the same family the source's own type is kept where the target \
                    knows it, with character set and collation. Columns of a key have types that can be indexed. A \
                    table that exists already keeps its own types if they hold every value. What a target cannot hold \
                    (NaN in a DECIMAL, a year beyond 9999) makes a bad row, never another value.\n"
        .to_owned();
    text.push_str(&section("MySQL and MariaDB", MYSQL.iter().map(|source| row(source, &mysql(source)))));
    let postgres = POSTGRES.iter().map(|(source, base, modifier)| {
        let column = ColumnType { text: (*source).to_owned(), base: base.oid(), modifier: *modifier };
        row(source, &column.field("c", 1, false))
    });
    text.push_str(&section("PostgreSQL", postgres));
    let sqlite = SQLITE.iter().map(|(source, data_type)| row(source, &Field::new("c", data_type.clone(), true)));
    text.push_str(&section("SQLite", sqlite));
    text
}

#[test]
fn the_page_of_type_maps_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/type-maps.md");
    let page = page();
    if std::env::var_os("AQUEDUCT_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/type-maps.md is out of date: run this test with AQUEDUCT_WRITE_DOCS=1");
}
