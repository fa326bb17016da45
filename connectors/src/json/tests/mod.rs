//! `JSONInput` through the doors that the engine uses.

mod promises;
mod refused;
mod values;

use std::fs;
use std::time::Duration;

use super::*;
use aqueduct_model::conformance::record_texts;
use aqueduct_model::{BadRow, BadRowPolicy, BadRows, Error, PollBudget, Polled, Position, SourceContext};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with files.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, bytes) in files {
            fs::write(folder.path(name), bytes).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        use std::io::Write;
        fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap().write_all(bytes).unwrap();
    }

    /// Settings for files of this folder.
    fn settings(&self, pattern: &str, more: Value) -> JsonInputConfig {
        let mut settings = json!({ "path": self.path(pattern) });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        serde_json::from_value(settings).unwrap()
    }
}

/// A source and what came out of it.
struct Run {
    source: TextSource<JsonTables>,
    /// Each row as `relation: cell|cell`; NULL is `NULL`.
    rows: Vec<String>,
    bad: Vec<BadRow>,
    max_rows: usize,
    max_wait: Duration,
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

impl Run {
    fn open(config: JsonInputConfig, resume: Option<&Position>) -> Result<Self, Error> {
        let max_wait = if config.watch { Duration::from_millis(20) } else { Duration::from_secs(600) };
        let mut source = TextSource::new(JsonTables::new(config)?);
        block(source.open(&SourceContext::default(), resume))?;
        Ok(Self { source, rows: Vec::new(), bad: Vec::new(), max_rows: 8_192, max_wait })
    }

    /// One poll. False when nothing came.
    fn poll(&mut self, until: Option<&Position>) -> Result<bool, Error> {
        let budget = PollBudget {
            max_rows: self.max_rows,
            max_wait: self.max_wait,
            until: until.cloned(),
            ..PollBudget::default()
        };
        let mut bad = BadRows::new(BadRowPolicy::DeadLetter, 100_000);
        let polled = block(self.source.poll(&budget, &mut bad))?;
        self.bad.extend(bad.take());
        let Polled::Batch(batch) = polled else { return Ok(false) };
        assert!(batch.num_rows() > 0 && batch.num_rows() <= self.max_rows);
        let name = batch.relation().name();
        self.rows.extend(record_texts(batch.rows()).unwrap().into_iter().map(|cells| format!("{name}: {cells}")));
        Ok(true)
    }

    /// Polls until nothing comes several times in a row: once may be the end of a wait.
    fn drain(&mut self) -> Result<(), Error> {
        let mut idle = 0;
        while idle < 4 {
            idle = if self.poll(None)? { 0 } else { idle + 1 };
        }
        Ok(())
    }
}

/// All rows and refused lines of a bounded input.
fn read_all(folder: &Folder, pattern: &str, more: Value) -> (Vec<String>, Vec<String>) {
    let mut run = Run::open(folder.settings(pattern, more), None).unwrap();
    run.max_rows = 3;
    run.drain().unwrap();
    let bad = run.bad.iter().map(|bad| {
        let at = bad.position.as_deref().unwrap();
        format!("{}: {}", at.rsplit('/').next().unwrap(), bad.reasons.join("; "))
    });
    (run.rows, bad.collect())
}

/// All rows of a bounded input, none refused.
fn read(folder: &Folder, pattern: &str, more: Value) -> Vec<String> {
    let (rows, bad) = read_all(folder, pattern, more);
    assert_eq!(bad, [""; 0]);
    rows
}

/// The types of the first table, as `name type`.
fn types(folder: &Folder, pattern: &str, more: Value) -> Vec<String> {
    let mut source = TextSource::new(JsonTables::new(folder.settings(pattern, more)).unwrap());
    block(source.open(&SourceContext::default(), None)).unwrap();
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let Polled::Batch(batch) = block(source.poll(&PollBudget::default(), &mut bad)).unwrap() else { panic!("rows") };
    let kind = |field: &arrow::datatypes::FieldRef| crate::text_files::ColumnType(field.data_type().clone());
    batch.relation().columns().fields().iter().map(|field| format!("{} {}", field.name(), kind(field))).collect()
}
