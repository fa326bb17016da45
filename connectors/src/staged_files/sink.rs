//! The sink itself: tables to open files, epochs to the folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use aqueduct_model::{
    BadRow, BadRows, Batch, Change, Claim, Cut, Epoch, Error, PreparedCommit, Recorded, Relation, RelationName, Result,
    SchemaChange, Sink, SinkContext, SinkInput,
};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use super::changelog::{Mode, appended, logged, truncation};
use super::folder::{Folder, WrittenFile, io_error};
use super::manifest::FileEntry;
use super::name::table_folder;

/// Files open at the same time; beyond it the one that was written to least recently is finished.
const OPEN_FILES_MAX: usize = 256;
/// What the writers of all open files may hold in memory together, in bytes.
const BUFFERED_BYTES_MAX: usize = 96 << 20;

/// How a format writes files.
pub(crate) trait FileFormat: Send + Sync + 'static {
    /// The end of the files' names, without its dot.
    fn extension(&self) -> &str;

    /// Starts a file of rows with these columns.
    ///
    /// # Errors
    /// `Schema` when the format has no way to write one of the columns.
    fn start(&self, file: File, columns: &SchemaRef) -> Result<Box<dyn FormatWriter>>;
}

/// A row that a format cannot write.
pub(crate) struct Refused {
    /// Its number in the rows that were given.
    pub(crate) row: usize,
    /// Why, without the row's values.
    pub(crate) reason: String,
}

/// Writes one file.
pub(crate) trait FormatWriter: Send {
    /// Writes rows with the columns that the file was started with; returns those that it could not write.
    fn write(&mut self, rows: &RecordBatch) -> Result<Vec<Refused>>;

    /// Memory held, in bytes.
    fn buffered_bytes(&self) -> usize;

    /// Writes out what is held in memory.
    fn spill(&mut self) -> Result<()>;

    /// Ends the file; everything is handed to the operating system.
    fn finish(self: Box<Self>) -> Result<File>;
}

/// What the settings of all file sinks have in common.
pub(crate) struct StagedFilesConfig {
    /// The output folder.
    pub(crate) root: PathBuf,
    /// How a table's folder is named, see [`table_folder`].
    pub(crate) table: Option<String>,
    /// What the files hold.
    pub(crate) mode: Mode,
    /// Rows per file at most.
    pub(crate) max_file_rows: u64,
}

struct OpenFile {
    relation: Arc<Relation>,
    columns: SchemaRef,
    writer: Box<dyn FormatWriter>,
    path: PathBuf,
    folder: String,
    rows: u64,
    last_write: u64,
}

/// A file sink of any format.
pub(crate) struct StagedSink<F> {
    format: F,
    config: StagedFilesConfig,
    folder: Option<Folder>,
    open: BTreeMap<RelationName, OpenFile>,
    written: Vec<WrittenFile>,
    /// The epoch that the rows being written belong to.
    epoch: Epoch,
    writes: u64,
}

impl<F: FileFormat> StagedSink<F> {
    /// Makes the sink; does no I/O.
    pub(crate) fn new(format: F, config: StagedFilesConfig) -> Self {
        let (open, written) = (BTreeMap::new(), Vec::new());
        Self { format, config, folder: None, open, written, epoch: Epoch(1), writes: 0 }
    }

    fn folder(&mut self) -> Result<&mut Folder> {
        self.folder.as_mut().ok_or_else(|| Error::bug("a file sink is used before it is open"))
    }

    /// The open file for a relation; a file of other columns is finished first.
    fn file_for(&mut self, relation: &Arc<Relation>) -> Result<()> {
        if let Some(open) = self.open.get_mut(relation.name()) {
            if Arc::ptr_eq(&open.relation, relation) {
                return Ok(());
            }
            if open.relation.columns() == relation.columns() && open.relation.key() == relation.key() {
                open.relation = relation.clone();
                return Ok(());
            }
            self.finish(&relation.name().clone())?;
        }
        if self.open.len() >= OPEN_FILES_MAX {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.last_write).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                self.finish(&oldest)?;
            }
        }
        let columns = self.config.mode.columns(relation)?;
        let folder = table_folder(self.config.table.as_deref(), relation.name())?;
        let (path, file) = self.folder()?.create(&folder)?;
        let writer = self.format.start(file, &columns)?;
        let open =
            OpenFile { relation: relation.clone(), columns, writer, path, folder, rows: 0, last_write: self.writes };
        self.open.insert(relation.name().clone(), open);
        Ok(())
    }

    /// Ends a relation's open file.
    fn finish(&mut self, name: &RelationName) -> Result<()> {
        let Some(open) = self.open.remove(name) else { return Ok(()) };
        let file = open.writer.finish()?;
        if open.rows == 0 {
            // All its rows were refused.
            return fs::remove_file(&open.path).map_err(|error| io_error("cannot remove", &open.path, error));
        }
        let bytes = file.metadata().map_err(|error| io_error("cannot look at", &open.path, error))?.len();
        let key = open.relation.key_names().into_iter().map(str::to_owned).collect();
        let entry = FileEntry { path: String::new(), table: name.clone(), key, epoch: 0, rows: open.rows, bytes };
        let extension = self.format.extension().to_owned();
        self.written.push(WrittenFile { folder: open.folder, path: open.path, file, extension, entry });
        Ok(())
    }

    fn write_batch(&mut self, batch: &Batch, bad: &mut BadRows) -> Result<()> {
        self.file_for(batch.relation())?;
        let name = batch.relation().name();
        let rows = match (self.config.mode, self.open.get(name)) {
            (Mode::Changelog, Some(open)) => logged(batch, &open.columns, self.epoch.0, bad)?,
            _ => appended(batch, bad)?,
        };
        self.write_rows(batch.relation(), rows, bad)
    }

    /// Writes rows, file by file where a file gets full.
    fn write_rows(&mut self, relation: &Arc<Relation>, rows: RecordBatch, bad: &mut BadRows) -> Result<()> {
        let mut from = 0;
        while from < rows.num_rows() {
            self.file_for(relation)?;
            self.writes += 1;
            let last_write = self.writes;
            let Some(open) = self.open.get_mut(relation.name()) else { continue };
            let left = usize::try_from(self.config.max_file_rows.saturating_sub(open.rows)).unwrap_or(usize::MAX);
            let part = rows.slice(from, (rows.num_rows() - from).min(left.max(1)));
            from += part.num_rows();
            let refused = open.writer.write(&part)?;
            open.rows += (part.num_rows() - refused.len()) as u64;
            open.last_write = last_write;
            let full = open.rows >= self.config.max_file_rows;
            if !refused.is_empty() {
                reject(relation, &part, refused, bad)?;
            }
            if full {
                self.finish(relation.name())?;
            }
        }
        self.spill_largest()
    }

    /// Keeps the memory of all writers together within its bound.
    fn spill_largest(&mut self) -> Result<()> {
        if self.open.values().map(|open| open.writer.buffered_bytes()).sum::<usize>() <= BUFFERED_BYTES_MAX {
            return Ok(());
        }
        match self.open.values_mut().max_by_key(|open| open.writer.buffered_bytes()) {
            Some(largest) => largest.writer.spill(),
            None => Ok(()),
        }
    }

    fn change_schema(&mut self, change: &SchemaChange, bad: &mut BadRows) -> Result<()> {
        match change.change {
            Change::Truncate if self.config.mode == Mode::Append => {
                Err(Error::config(format!("{} was truncated, and the files take inserts only", change.relation.name()))
                    .with_setting("mode")
                    .with_hint("set `mode: changelog`, or write to a sink that can delete"))
            }
            Change::Truncate => {
                let rows = truncation(&self.config.mode.columns(&change.relation)?, self.epoch.0)?;
                self.write_rows(&change.relation, rows, bad)
            }
            // A file has the columns that it was started with; rows of another shape start another file.
            _ => self.finish(&change.relation.name().clone()),
        }
    }
}

/// Hands rows that a format could not write to the task's policy.
fn reject(relation: &Arc<Relation>, rows: &RecordBatch, refused: Vec<Refused>, bad: &mut BadRows) -> Result<()> {
    let shape = Relation::new(relation.name().clone(), rows.schema(), &[""; 0], relation.version())?;
    let batch = Batch::inserts(Arc::new(shape), rows.clone())?;
    for Refused { row, reason } in refused {
        bad.reject(BadRow::of_batch(&batch, row, reason))?;
    }
    Ok(())
}

#[async_trait]
impl<F: FileFormat> Sink for StagedSink<F> {
    async fn open(&mut self, context: &SinkContext) -> Result<Option<Recorded>> {
        let (folder, recorded) = Folder::open(&self.config.root, context)?;
        self.folder = Some(folder);
        Ok(recorded)
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        self.epoch = claim.cut.epoch.next();
        self.folder()?.claim(claim)
    }

    async fn write(&mut self, input: SinkInput, bad: &mut BadRows) -> Result<()> {
        match input {
            SinkInput::Batch(batch) => self.write_batch(&batch, bad),
            SinkInput::Schema(change) => self.change_schema(&change, bad),
        }
    }

    async fn flush(&mut self, cut: &Cut, _bad: &mut BadRows) -> Result<Option<PreparedCommit>> {
        if self.config.mode == Mode::Changelog && cut.epoch != self.epoch {
            return Err(Error::bug(format!("epoch {} ends, and its rows say {}", cut.epoch, self.epoch)));
        }
        let names: Vec<RelationName> = self.open.keys().cloned().collect();
        for name in &names {
            self.finish(name)?;
        }
        let written = std::mem::take(&mut self.written);
        let prepared = self.folder()?.stage(cut, written)?;
        self.epoch = cut.epoch.next();
        Ok(Some(prepared))
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        self.folder()?.commit(epoch, prepared)?;
        self.epoch = self.epoch.max(epoch.next());
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let open = std::mem::take(&mut self.open).into_values().map(|open| open.path);
        let written = std::mem::take(&mut self.written).into_iter().map(|written| written.path);
        for path in open.chain(written) {
            // What stays is removed by the next claim.
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished file");
            }
        }
        Ok(())
    }
}
