//! The same over the same file by others, one thread each.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::prelude::{JsonReadOptions, SessionConfig, SessionContext};
use futures::StreamExt;

use super::flows::{COLUMNS, Query};
use crate::figure::progress;
use crate::usage::{own_cpu_seconds, run_to_end};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers");

/// DuckDB, and DataFusion where the query is row by row; both must find as many rows.
pub fn beside(query: &Query, file: &Path, count: u64, rows: u64) {
    let begun = own_cpu_seconds();
    let found = duckdb(query, file);
    show(query.name, "DuckDB", count, own_cpu_seconds() - begun);
    if query.is_row_by_row() {
        assert_eq!(found, rows, "{} by DuckDB", query.name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let begun = own_cpu_seconds();
        let found = runtime.block_on(datafusion(query, file));
        show(query.name, "DataFusion", count, own_cpu_seconds() - begun);
        assert_eq!(found, rows, "{} by DataFusion", query.name);
    }
}

fn show(query: &str, who: &str, count: u64, cpu_seconds: f64) {
    progress(&format!("nexmark {query}: {who} {:.0} events/CPU-s", count as f64 / cpu_seconds));
}

/// Every cell of the result is computed, none is shown.
fn duckdb(query: &Query, file: &Path) -> u64 {
    let duck = duckdb::Connection::open_in_memory().expect("DuckDB");
    duck.execute_batch("SET threads = 1").expect("one thread");
    for table in query.tables {
        let columns = columns(table);
        let kinds: Vec<String> = columns.iter().map(|(name, kind)| format!("{name}: '{}'", sql_type(kind))).collect();
        duck.execute_batch(&format!(
            "CREATE VIEW {table} AS SELECT * EXCLUDE (event_type) FROM read_json('{}', format = 'newline_delimited',
             columns = {{event_type: 'VARCHAR', {}}}) WHERE event_type = '{table}'",
            file.display(),
            kinds.join(", ")
        ))
        .expect("a view");
    }
    duck.execute_batch(&format!("CREATE TABLE result AS {}", query.duckdb)).expect("a result");
    duck.query_row("SELECT count(*) FROM result", [], |row| row.get(0)).expect("a number")
}

fn columns(table: &str) -> &'static [(&'static str, &'static str)] {
    COLUMNS.iter().find(|(name, _)| *name == table).expect("a table").1
}

fn sql_type(kind: &str) -> &'static str {
    match kind {
        "int64" => "BIGINT",
        "timestamp" => "TIMESTAMP",
        _ => "VARCHAR",
    }
}

async fn datafusion(query: &Query, file: &Path) -> u64 {
    let config = SessionConfig::new().with_target_partitions(1).with_batch_size(8_192);
    let context = SessionContext::new_with_config(config);
    let kind = |kind: &str| match kind {
        "int64" => DataType::Int64,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => DataType::Utf8,
    };
    let mut fields = vec![Field::new("event_type", DataType::Utf8, true)];
    fields.extend(columns("bid").iter().map(|(name, of)| Field::new(*name, kind(of), true)));
    let schema = Schema::new(fields);
    let options = JsonReadOptions::default().schema(&schema).file_extension("jsonl");
    context.register_json("events", file.display().to_string(), options).await.expect("the file is read");
    let bids = context.sql("SELECT * FROM events WHERE event_type = 'bid'").await.expect("bids").into_view();
    context.register_table("bid", Arc::clone(&bids)).expect("a view");
    let frame = context.sql(query.duckdb).await.expect("the query is understood");
    let mut batches = frame.execute_stream().await.expect("the query starts");
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch.expect("rows that can be read").num_rows() as u64;
    }
    rows
}

/// Bytewax, in a process of its own: the start of Python is part of it.
pub fn bytewax(folder: &Path, file: &Path, count: u64) {
    let python = folder.join("peer");
    let set_up = Command::new("sh").arg(format!("{PEERS}/setup.sh")).arg(&python).status();
    if !set_up.is_ok_and(|status| status.success()) {
        return progress("nexmark: Bytewax could not be installed (see above), so it is not measured");
    }
    for query in ["q0", "q1", "q2"] {
        let mut command = Command::new(python.join("bin/python"));
        command.arg(format!("{PEERS}/nexmark_bytewax.py")).arg(query).arg(file).stdout(Stdio::null());
        let usage = run_to_end(&mut command);
        show(query, "Bytewax", count, usage.cpu_seconds);
    }
}
