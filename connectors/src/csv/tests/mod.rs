//! `CSVInput` through the doors that the engine uses.

mod cells;
mod inputs;
mod refused;
mod resume;
mod watch;

use std::fs;
use std::path::Path;
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
            folder.write(name, bytes);
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn append(&self, name: &str, bytes: &[u8]) {
        use std::io::Write;
        fs::OpenOptions::new().append(true).open(self.path(name)).unwrap().write_all(bytes).unwrap();
    }

    /// Settings for files of this folder.
    fn settings(&self, pattern: &str, more: Value) -> CsvInputConfig {
        let mut settings = json!({ "path": self.path(pattern) });
        for (key, value) in more.as_object().unwrap() {
            settings[key] = value.clone();
        }
        serde_json::from_value(settings).unwrap()
    }

    /// A text with this folder's own name taken out.
    fn local(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// A source and what came out of it.
struct Run {
    source: TextSource<Tables>,
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
    fn new(config: CsvInputConfig) -> Self {
        Self::open(config, None).unwrap()
    }

    fn open(config: CsvInputConfig, resume: Option<&Position>) -> Result<Self, Error> {
        // A bounded source has nothing to wait for; a watching one is given time to look again.
        let max_wait = if config.watch { Duration::from_millis(20) } else { Duration::from_secs(600) };
        let mut source = TextSource::new(Tables::new(config)?);
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
        let names = std::iter::repeat(batch.relation().name());
        self.rows
            .extend(names.zip(record_texts(batch.rows()).unwrap()).map(|(name, cells)| format!("{name}: {cells}")));
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

    fn position(&self) -> Position {
        self.source.position().unwrap()
    }
}

/// All rows of a bounded input, none refused.
fn read(config: CsvInputConfig) -> Vec<String> {
    let mut run = Run::new(config);
    run.drain().unwrap();
    assert_eq!(run.bad, []);
    run.rows
}

/// The error of a bounded input.
fn error(config: CsvInputConfig) -> Error {
    match Run::open(config, None) {
        Ok(mut run) => run.drain().unwrap_err(),
        Err(error) => error,
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn rename(from: &str, to: &str) {
    fs::rename(Path::new(from), Path::new(to)).unwrap();
}
