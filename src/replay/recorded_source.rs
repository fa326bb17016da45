//! A source that gives what was recorded.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use aqueduct_model::{BadRows, Error, ErrorKind, PollBudget, Polled, Position, Result, Source, SourceContext};
use async_trait::async_trait;
use serde_json::json;

use super::entry::{Kind, Line, Range, batch, schema_change};
use super::recording::{INDEX, ROWS, unwritable};

/// More bytes in one element are taken for damage.
const ELEMENT_BYTES_MAX: u64 = 1 << 31;
/// The split of a recording's position.
const SPLIT: &str = "element";

/// See the module.
pub(crate) struct RecordedSource {
    folder: PathBuf,
    task: String,
    lines: VecDeque<Line>,
    rows: Option<File>,
    /// The element that is read next.
    next: u64,
    /// The last element was the end of a transaction.
    at_boundary: bool,
}

impl RecordedSource {
    /// The recording of a task in a folder.
    pub(crate) fn new(folder: &Path, task: &str) -> Self {
        let (folder, task) = (folder.join(task), task.to_owned());
        Self { folder, task, lines: VecDeque::new(), rows: None, next: 0, at_boundary: true }
    }

    fn bytes(&mut self, range: Range) -> Result<Vec<u8>> {
        let Some(rows) = &mut self.rows else { return Err(Error::bug("a source is read before it is opened")) };
        if range.len > ELEMENT_BYTES_MAX {
            return Err(damaged(&self.folder, "an element is larger than any batch"));
        }
        let mut bytes = vec![0; range.len as usize];
        let read = rows.seek(SeekFrom::Start(range.from)).and_then(|_| rows.read_exact(&mut bytes));
        read.map_err(|error| damaged(&self.folder, "its rows are cut").with_source(error))?;
        Ok(bytes)
    }
}

#[async_trait]
impl Source for RecordedSource {
    async fn open(&mut self, _: &SourceContext, resume: Option<&Position>) -> Result<()> {
        let text = std::fs::read_to_string(self.folder.join(INDEX)).map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let hint =
                format!("record it with `aqueduct replay FLOW --record DIR`; the source `{}` is not in it", self.task);
            match missing {
                true => Error::config(format!("the recording has no source {}", self.task)).with_hint(hint),
                false => unwritable(&self.folder, error),
            }
        })?;
        let mut lines = Vec::new();
        for line in text.lines() {
            match serde_json::from_str::<Line>(line) {
                Ok(line) => lines.push(line),
                // A kill may leave half of the last line.
                Err(_) if !text.ends_with('\n') && text.ends_with(line) => break,
                Err(error) => return Err(damaged(&self.folder, "a line of its index is not known").with_source(error)),
            }
        }
        self.rows = Some(File::open(self.folder.join(ROWS)).map_err(|error| unwritable(&self.folder, error))?);
        self.next = resume.and_then(|position| position.offset(SPLIT)).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let is_element = |line: &Line| matches!(line.kind, Kind::Batch { .. } | Kind::Schema { .. });
        self.lines = lines.into_iter().filter(is_element).skip(self.next as usize).collect();
        Ok(())
    }

    async fn poll(&mut self, _: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        let Some(line) = self.lines.pop_front() else {
            // A recording that was cut in a transaction ends there.
            self.at_boundary = true;
            return Ok(Polled::Finished);
        };
        self.next += 1;
        self.at_boundary = line.position.is_some();
        match line.kind {
            Kind::Batch { bytes, relation, ingested_at_ms } => {
                Ok(Polled::Batch(batch(&self.bytes(bytes)?, &relation, ingested_at_ms)?))
            }
            Kind::Schema { bytes, relation, change, statement } => {
                Ok(Polled::Schema(schema_change(&self.bytes(bytes)?, &relation, change, statement)?))
            }
            Kind::Begin | Kind::Moved | Kind::Committed { .. } => Err(Error::bug("a line without an element was kept")),
        }
    }

    fn position(&self) -> Option<Position> {
        self.at_boundary.then(|| Position::single(SPLIT, json!(self.next)))
    }
}

fn damaged(folder: &Path, cause: &str) -> Error {
    Error::new(ErrorKind::Data, format!("the recording in {} is damaged: {cause}", folder.display()))
        .with_hint("record anew into an empty folder")
}
