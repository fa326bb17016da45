//! DuckDBOutput against a real database.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use aqueduct_model::{ByteSize, ErrorKind};
use serde_json::{Value, json};

use super::sink::{DuckDbTarget, Settings};
use crate::sql_target::Dialect;
use crate::sql_target::tests::{Bench, IN_FILES, Kit, batch, block_on, check, orders, texts};

const KIT: Kit = Kit { entry: super::config::ENTRY, dialect: Dialect::DuckDb, place, sql, cases: 8, refuses: &[] };

fn place(folder: &Path) -> Value {
    json!({ "path": folder.join("target.db") })
}

fn sql(place: &Value, sql: &str) -> Vec<String> {
    let path = Path::new(place["path"].as_str().unwrap());
    if !path.exists() && sql.starts_with("SELECT") {
        return Vec::new();
    }
    let settings = Settings { path: path.to_owned(), memory_limit: ByteSize(256 << 20), threads: 1 };
    let target = DuckDbTarget::open(&settings).unwrap();
    let mut statement = target.connection().prepare(sql).unwrap();
    let batches: Vec<_> = statement.query_arrow([]).unwrap().collect();
    batches.iter().flat_map(texts).collect()
}

#[test]
fn passes_all_tests_of_a_sql_target() {
    check(&KIT, IN_FILES);
}

/// Holds a database open while `an_open_file_names_its_process` looks; does nothing in a run of all tests.
#[test]
fn holder_of_a_file() {
    let Some(path) = std::env::var_os("AQUEDUCT_TEST_HOLD") else { return };
    let settings = Settings { path: path.into(), memory_limit: ByteSize(256 << 20), threads: 1 };
    let _target = DuckDbTarget::open(&settings).unwrap();
    eprintln!("holding");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn an_open_file_names_its_process_and_a_closed_one_is_free() {
    let bench = Bench::new(&KIT, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    writer.flush();
    writer.close();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "duckdb::tests::holder_of_a_file", "--nocapture"])
        .env("AQUEDUCT_TEST_HOLD", bench.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("holding")), "another process opens what was closed");
    let error = block_on(bench.sink().open(&bench.context)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.hint().unwrap().contains(&holder.id().to_string()), "{error:?}");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(bench.read("orders").1, ["1|a"]);
}
