//! Writes what sources give, while the flow runs as always.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use aqueduct_engine::plan::PlannedTask;
use aqueduct_engine::runtime::{PlannedPlugins, PluginFactory};
use aqueduct_model::{BadRows, Epoch, Error, ErrorKind, PollBudget, Polled, Position, Result, Source, SourceContext};
use async_trait::async_trait;

use super::change_text::KeptChange;
use super::entry::{KeptRelation, Kind, Line, Range, batch_bytes, schema_bytes};

/// The file with the rows of a source, and its index.
pub(super) const ROWS: &str = "rows";
pub(super) const INDEX: &str = "index.jsonl";
/// The name of the copy of the flow's file, without its ending.
const FLOW: &str = "flow";

/// Makes the folder, with a copy of the flow's file.
///
/// # Errors
/// `Config` when the folder holds something else, or another flow's recording.
pub(crate) fn prepare(folder: &Path, flow: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let text = fs::read(flow).map_err(|error| unwritable(flow, error))?;
    match flow_of(folder)? {
        Some(kept) if fs::read(&kept).ok() == Some(text.clone()) => Ok(()),
        Some(_) => Err(Error::config(format!(
            "{} holds a recording of another flow, or of this one before it was changed",
            folder.display()
        ))
        .with_hint("record into another folder, or remove this one")),
        None if fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some()) => {
            Err(Error::config(format!("{} is not empty", folder.display()))
                .with_hint("name a folder that does not exist yet"))
        }
        None => {
            let ending = flow.extension().and_then(|ending| ending.to_str()).unwrap_or("yaml");
            let copy = folder.join(format!("{FLOW}.{ending}"));
            fs::write(&copy, text).map_err(|error| unwritable(&copy, error))
        }
    }
}

/// The copy of the flow's file in a recording.
///
/// # Errors
/// `Unavailable` when the folder cannot be read.
pub(crate) fn flow_of(folder: &Path) -> Result<Option<PathBuf>> {
    let files = fs::read_dir(folder).map_err(|error| unwritable(folder, error))?;
    let mut files = files.flatten().map(|file| file.path());
    Ok(files.find(|file| file.is_file() && file.file_stem().is_some_and(|stem| stem == FLOW)))
}

/// The flow's own plugins, with sources that are recorded.
pub(crate) struct RecordingPlugins {
    pub(crate) folder: PathBuf,
}

impl PluginFactory for RecordingPlugins {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        let inner = PlannedPlugins.source(task)?;
        Ok(Box::new(RecordingSource { inner, folder: self.folder.join(&task.id), files: Mutex::new(None) }))
    }
}

/// A source whose elements are kept.
pub(super) struct RecordingSource {
    pub(super) inner: Box<dyn Source>,
    pub(super) folder: PathBuf,
    /// Behind a lock, because a source is asked for its position where it cannot be changed.
    pub(super) files: Mutex<Option<Files>>,
}

impl RecordingSource {
    fn files(&self) -> MutexGuard<'_, Option<Files>> {
        // Lines are written whole; after a panic the run ends, and the next one cuts the files.
        self.files.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The open files of a source.
pub(super) struct Files {
    folder: PathBuf,
    rows: File,
    index: File,
    /// The length of the rows.
    len: u64,
    /// The position of the last line.
    last: Option<Position>,
    /// A line that could not be written where nothing can fail.
    failed: Option<Error>,
}

impl Files {
    /// Opens the files, cut behind the position that the source goes on from.
    fn open(folder: &Path, resume: Option<&Position>, here: Option<Position>) -> Result<Self> {
        let failed = |error| unwritable(folder, error);
        fs::create_dir_all(folder).map_err(failed)?;
        let open =
            |name| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(name));
        let (mut rows, mut index) = (open(ROWS).map_err(failed)?, open(INDEX).map_err(failed)?);
        let mut text = String::new();
        index.read_to_string(&mut text).map_err(failed)?;
        let (mut kept_index, mut kept_rows, mut found) = (0, 0, text.is_empty());
        let (mut at, mut rows_at) = (0, 0);
        for line in text.split_inclusive('\n') {
            let Ok(parsed) = serde_json::from_str::<Line>(line) else { break };
            at += line.len() as u64;
            if let Kind::Batch { bytes, .. } | Kind::Schema { bytes, .. } = &parsed.kind {
                rows_at = bytes.from + bytes.len;
            }
            let is_start = resume.is_none() && parsed.kind == Kind::Begin;
            // An epoch is known to be committed only when the source is further on already.
            let is_in_order = !matches!(parsed.kind, Kind::Committed { .. });
            if is_start || (resume.is_some() && is_in_order && parsed.position.as_ref() == resume) {
                (kept_index, kept_rows, found) = (at, rows_at, true);
            }
        }
        if !found {
            let hint = "the flow was run without recording in between: record into another folder";
            let cause = format!("{} does not hold the position that the source goes on from", folder.display());
            return Err(Error::config(cause).with_hint(hint));
        }
        index.set_len(kept_index).and_then(|()| rows.set_len(kept_rows)).map_err(failed)?;
        index.seek(SeekFrom::End(0)).and_then(|_| rows.seek(SeekFrom::End(0))).map_err(failed)?;
        let (folder, last) = (folder.to_owned(), resume.cloned());
        let mut files = Self { folder, rows, index, len: kept_rows, last, failed: None };
        if kept_index == 0 {
            files.line(&Line { kind: Kind::Begin, position: here })?;
        }
        Ok(files)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<Range> {
        self.rows.write_all(bytes).map_err(|error| unwritable(&self.folder, error))?;
        let range = Range { from: self.len, len: bytes.len() as u64 };
        self.len += range.len;
        Ok(range)
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        let mut text =
            serde_json::to_string(line).map_err(|error| Error::bug("a line is no JSON").with_source(error))?;
        text.push('\n');
        if !matches!(line.kind, Kind::Committed { .. }) {
            self.last.clone_from(&line.position);
        }
        self.index.write_all(text.as_bytes()).map_err(|error| unwritable(&self.folder, error))
    }
}

#[async_trait]
impl Source for RecordingSource {
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        self.inner.open(context, resume).await?;
        let files = Files::open(&self.folder, resume, self.inner.position())?;
        *self.files() = Some(files);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let polled = self.inner.poll(budget, bad).await?;
        let position = self.inner.position();
        let mut files = self.files();
        let Some(files) = files.as_mut() else { return Err(Error::bug("a source is read before it is opened")) };
        if let Some(error) = files.failed.take() {
            return Err(error);
        }
        match &polled {
            Polled::Batch(batch) => {
                let bytes = files.bytes(&batch_bytes(batch)?)?;
                let relation = KeptRelation::of(batch.relation());
                let kind = Kind::Batch { bytes, relation, ingested_at_ms: batch.ingested_at_ms() };
                files.line(&Line { kind, position })?;
            }
            Polled::Schema(change) => {
                let kept = KeptChange::of(&change.change)
                    .ok_or_else(|| Error::bug(format!("a change of {} cannot be recorded", change.relation.name())))?;
                let bytes = files.bytes(&schema_bytes(&change.relation)?)?;
                let relation = KeptRelation::of(&change.relation);
                let kind = Kind::Schema { bytes, relation, change: kept, statement: change.statement.clone() };
                files.line(&Line { kind, position })?;
            }
            Polled::Idle | Polled::Finished => {}
        }
        Ok(polled)
    }

    fn position(&self) -> Option<Position> {
        let position = self.inner.position();
        // Wherever an epoch may end there must be a line to cut at.
        if let Some(files) = self.files().as_mut()
            && position.is_some()
            && files.last != position
        {
            files.failed = files.line(&Line { kind: Kind::Moved, position: position.clone() }).err();
        }
        position
    }

    async fn on_checkpoint_durable(&mut self, epoch: Epoch, position: &Position) -> Result<()> {
        if let Some(files) = self.files().as_mut() {
            files.line(&Line { kind: Kind::Committed { epoch }, position: Some(position.clone()) })?;
        }
        self.inner.on_checkpoint_durable(epoch, position).await
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}

pub(super) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot read or write {}", path.display()))
        .with_source(error)
        .with_hint("check the path, space and permissions")
}
