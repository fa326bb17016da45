//! `ParquetInput`: from file to file, row group to row group.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Instant;

use aqueduct_model::{BadRows, Batch, PollBudget, Polled, Position, Result, SchemaChange, Source, SourceContext};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::config::ParquetInputConfig;
use super::files::{self, ParquetFile, guarded, unreadable};
use super::offset::{FileIdentity, ParquetOffset, chain_hash, lost};
use super::table::{FileTable, schema_changes};

/// Reads Parquet files.
pub(super) struct ParquetSource {
    config: ParquetInputConfig,
    files: Vec<PathBuf>,
    table_name: String,
    offset: ParquetOffset,
    current: Option<Current>,
    /// Said before the next rows.
    changes: VecDeque<SchemaChange>,
    /// The offset as a position: `position` cannot fail.
    position: Option<Position>,
}

/// The file being read.
struct Current {
    file: ParquetFile,
    table: FileTable,
    /// Reads the rest of the row group that the offset is in.
    reader: Option<ParquetRecordBatchReader>,
    /// Rows that the reader yielded and no poll took.
    ahead: Option<RecordBatch>,
}

impl Current {
    fn group_rows(&self, row_group: usize) -> usize {
        self.file.metadata.metadata().row_group(row_group).num_rows() as usize
    }

    fn row_groups(&self) -> usize {
        self.file.metadata.metadata().num_row_groups()
    }

    /// Rows per batch, so that a batch stays near the budget's bytes: by what the footer says of the row group.
    fn batch_rows(&self, row_group: usize, budget: &PollBudget) -> usize {
        let group = self.file.metadata.metadata().row_group(row_group);
        let row_bytes = (group.total_byte_size().max(0) as usize / self.group_rows(row_group).max(1)).max(1);
        (budget.max_bytes / row_bytes).clamp(1, budget.max_rows.max(1))
    }

    /// Takes at most `rows_max` rows from the offset on; never none.
    fn take(&mut self, offset: &ParquetOffset, rows_max: usize, budget: &PollBudget) -> Result<RecordBatch> {
        let path = PathBuf::from(&self.file.identity.path);
        let ended = || unreadable(&path, "a row group has fewer rows than its footer says");
        let rows = match self.ahead.take() {
            Some(rows) => rows,
            None => {
                if self.reader.is_none() {
                    self.reader = Some(self.start_reader(&path, offset, budget)?);
                }
                let Some(reader) = &mut self.reader else { return Err(ended()) };
                let next = guarded(&path, || Ok(reader.next()))?;
                let rows = next.ok_or_else(ended)?;
                rows.map_err(|error| unreadable(&path, "a page cannot be read").with_source(error))?
            }
        };
        if rows.num_rows() == 0 {
            return Err(ended());
        }
        let taken = rows_max.min(rows.num_rows()).max(1);
        if taken < rows.num_rows() {
            self.ahead = Some(rows.slice(taken, rows.num_rows() - taken));
        }
        Ok(rows.slice(0, taken))
    }

    fn start_reader(
        &self,
        path: &Path,
        offset: &ParquetOffset,
        budget: &PollBudget,
    ) -> Result<ParquetRecordBatchReader> {
        let file =
            self.file.file.try_clone().map_err(|error| crate::staged_files::io_error("cannot read", path, error))?;
        guarded(path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.file.metadata.clone())
                .with_row_groups(vec![offset.row_group])
                .with_offset(offset.row)
                .with_projection(self.table.projection.clone())
                .with_batch_size(self.batch_rows(offset.row_group, budget))
                .build()
                .map_err(|error| unreadable(path, "a row group cannot be read").with_source(error))
        })
    }
}

impl ParquetSource {
    pub(super) fn new(config: ParquetInputConfig) -> Self {
        Self {
            config,
            files: Vec::new(),
            table_name: String::new(),
            offset: ParquetOffset::default(),
            current: None,
            changes: VecDeque::new(),
            position: None,
        }
    }

    /// Goes to an earlier offset, if everything before it is as it was.
    fn resume(&mut self, offset: ParquetOffset) -> Result<()> {
        if offset.done_files > self.files.len() {
            return Err(lost(format!("{} files were read, only {} are there", offset.done_files, self.files.len())));
        }
        let mut done_hash = 0;
        let mut last = None;
        for path in &self.files[..offset.done_files] {
            let file = files::open(path)
                .map_err(|error| lost("a file that was read before cannot be read any more").with_source(error))?;
            done_hash = chain_hash(done_hash, &file.identity);
            last = Some(file);
        }
        if done_hash != offset.done_hash {
            return Err(lost("the files that were read before have changed, or others stand between them"));
        }
        self.offset = ParquetOffset { done_files: offset.done_files, done_hash, ..ParquetOffset::default() };
        let at_start = (offset.row_group, offset.row) == (0, 0);
        // A schema change is said at the edge of two files: at the edge again, it is said again.
        let before = match last.filter(|_| at_start) {
            Some(file) => Some(FileTable::new(&self.config, &self.table_name, offset.done_files - 1, &file.metadata)?),
            None => None,
        };
        self.start_file(before.as_ref())?;
        if let Some(identity) = &offset.file {
            self.same_file(identity)?;
            self.go_to(&offset)?;
        } else if !at_start {
            return Err(lost("the position is not one of ParquetInput"));
        }
        Ok(())
    }

    fn go_to(&mut self, offset: &ParquetOffset) -> Result<()> {
        let Some(current) = &self.current else { return Err(lost("the file of the position is gone")) };
        let exists = offset.row_group < current.row_groups() && offset.row < current.group_rows(offset.row_group);
        if !exists && (offset.row_group, offset.row) != (0, 0) {
            return Err(lost("the position leads to a row that its file does not have"));
        }
        (self.offset.row_group, self.offset.row) = (offset.row_group, offset.row);
        Ok(())
    }

    fn same_file(&self, identity: &FileIdentity) -> Result<()> {
        match &self.current {
            Some(current) if current.file.identity == *identity => Ok(()),
            Some(current) => Err(lost(format!("{} is not the file that was read before", current.file.identity.path))),
            None => Err(lost(format!("{} is gone", identity.path))),
        }
    }

    /// Opens the file that `offset.done_files` points at, if there is one.
    fn start_file(&mut self, before: Option<&FileTable>) -> Result<()> {
        self.current = None;
        self.offset.file = None;
        (self.offset.row_group, self.offset.row) = (0, 0);
        let number = self.offset.done_files;
        let Some(path) = self.files.get(number) else { return Ok(()) };
        let file = files::open(path)?;
        let mut table = FileTable::new(&self.config, &self.table_name, number, &file.metadata)?;
        match before {
            // The same table goes on: one relation, so that sinks see no change where there is none.
            Some(before) if before.relation.columns() == table.relation.columns() => {
                table.relation = before.relation.clone();
            }
            Some(before) => self.changes.extend(schema_changes(&before.relation, &table.relation)),
            None => {}
        }
        self.offset.file = Some(file.identity.clone());
        self.current = Some(Current { file, table, reader: None, ahead: None });
        Ok(())
    }

    /// Moves over rows of the current row group, into the next group or file at its end.
    fn advance(&mut self, rows: usize) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        self.offset.row += rows;
        if current.row_groups() > 0 && self.offset.row < current.group_rows(self.offset.row_group) {
            return Ok(());
        }
        (current.reader, current.ahead) = (None, None);
        (self.offset.row_group, self.offset.row) = (self.offset.row_group + 1, 0);
        if self.offset.row_group >= current.row_groups() {
            self.offset.done_hash = chain_hash(self.offset.done_hash, &current.file.identity);
            self.offset.done_files += 1;
            let before = self.current.take();
            self.start_file(before.as_ref().map(|before| &before.table))?;
        }
        Ok(())
    }

    /// Rows of the current row group that lie before `until`.
    fn rows_before(&self, until: &ParquetOffset) -> Result<usize> {
        let at = &self.offset;
        if until.done_files != at.done_files {
            return Ok(if until.done_files > at.done_files { usize::MAX } else { 0 });
        }
        if until.file != at.file || until.done_hash != at.done_hash {
            return Err(lost("a file has changed since it was read the first time"));
        }
        Ok(match until.row_group.cmp(&at.row_group) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => until.row.saturating_sub(at.row),
            std::cmp::Ordering::Greater => usize::MAX,
        })
    }

    /// Reads once: `None` when the rows that were read did not pass the filter.
    fn step(&mut self, budget: &PollBudget, until: Option<&ParquetOffset>) -> Result<Option<Polled>> {
        let limit = match until {
            Some(until) => self.rows_before(until)?,
            None => usize::MAX,
        };
        if limit == 0 {
            return Ok(Some(Polled::Idle));
        }
        if let Some(change) = self.changes.pop_front() {
            return Ok(Some(Polled::Schema(change)));
        }
        let Some(current) = &mut self.current else { return Ok(Some(Polled::Finished)) };
        let empty = current.row_groups() == 0;
        if empty || !current.table.read_group[self.offset.row_group] || current.group_rows(self.offset.row_group) == 0 {
            let left = if empty { 0 } else { current.group_rows(self.offset.row_group) - self.offset.row };
            self.advance(left.min(limit))?;
            return Ok(None);
        }
        let yielded = current.take(&self.offset, limit.min(budget.max_rows), budget)?;
        let rows = current.table.rows(&yielded)?;
        let relation = current.table.relation.clone();
        self.advance(yielded.num_rows())?;
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        Ok(Some(Polled::Batch(Batch::inserts(relation, rows)?)))
    }
}

#[async_trait]
impl Source for ParquetSource {
    async fn open(&mut self, _context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        let offset = resume.map(ParquetOffset::from_position).transpose()?.flatten();
        self.files = files::list(self.config.path.patterns(), self.config.allow_empty)?;
        self.table_name = self.files.first().map(|first| self.config.table_name(first)).unwrap_or_default();
        match offset {
            Some(offset) => self.resume(offset)?,
            None => self.start_file(None)?,
        }
        self.position = Some(self.offset.to_position()?);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, _bad: &mut BadRows) -> Result<Polled> {
        let until = budget.until.as_ref().map(ParquetOffset::from_position).transpose()?.flatten();
        let started = Instant::now();
        loop {
            let polled = self.step(budget, until.as_ref())?;
            self.position = Some(self.offset.to_position()?);
            match polled {
                Some(polled) => return Ok(polled),
                None if started.elapsed() >= budget.max_wait => return Ok(Polled::Idle),
                None => {}
            }
        }
    }

    fn position(&self) -> Option<Position> {
        self.position.clone()
    }

    async fn close(&mut self) -> Result<()> {
        self.current = None;
        Ok(())
    }
}
