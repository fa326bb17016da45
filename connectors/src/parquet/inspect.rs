//! Reads back what `ParquetOutput` committed: the rows, or the state that a changelog leads to.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Inspect, Relation, RelationName, Result, SinkContext, View};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchReader, new_null_array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::sink_config::ParquetOutputConfig;
use crate::staged_files::{EPOCH_COLUMN, FileEntry, Mode, OP_COLUMN, committed_files, io_error};

/// Rows that a folded changelog may have: their keys are held in memory.
const LIVE_ROWS_MAX: usize = 50_000_000;

/// A view of one folder.
pub(super) struct ParquetInspect {
    config: ParquetOutputConfig,
    tables: Vec<Table>,
    reading: Option<Reading>,
}

struct Table {
    relation: Arc<Relation>,
    files: Vec<FileEntry>,
}

struct Reading {
    relation: Arc<Relation>,
    /// Files still to read, each with the rows that count; `None`: all of them.
    files: VecDeque<(FileEntry, Option<BooleanArray>)>,
    current: Option<(ParquetRecordBatchReader, Option<BooleanArray>, usize)>,
}

impl ParquetInspect {
    pub(super) fn new(config: ParquetOutputConfig) -> Self {
        Self { config, tables: Vec::new(), reading: None }
    }

    fn reader(&self, entry: &FileEntry) -> Result<ParquetRecordBatchReader> {
        let path = self.config.path.join(&entry.path);
        let file = File::open(&path).map_err(|error| io_error("cannot open", &path, error))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
        reader.map_err(|error| damaged(&path).with_source(error))
    }

    /// The table as its newest file has it, without the columns of the changelog.
    fn relation(&self, entry: &FileEntry) -> Result<Arc<Relation>> {
        let columns = self.reader(entry)?.schema();
        let ours = |name: &str| self.config.mode == Mode::Changelog && (name == OP_COLUMN || name == EPOCH_COLUMN);
        let fields: Vec<_> = columns.fields().iter().filter(|field| !ours(field.name())).cloned().collect();
        Relation::new(entry.table.clone(), Arc::new(Schema::new(fields)), &entry.key, 1).map(Arc::new)
    }

    /// For each file, which of its rows are left at the end of the changelog.
    fn fold(&self, table: &Table) -> Result<Vec<BooleanArray>> {
        let relation = &table.relation;
        // Without a key a deleted row takes away one row that is equal to it.
        let identity: Vec<usize> = match relation.key() {
            [] => (0..relation.columns().fields().len()).collect(),
            key => key.to_vec(),
        };
        let fields =
            identity.iter().map(|&i| SortField::new(relation.columns().field(i).data_type().clone())).collect();
        let unfit = |error| Error::new(ErrorKind::Schema, "a key column cannot be compared").with_source(error);
        let converter = RowConverter::new(fields).map_err(unfit)?;
        let mut live: HashMap<Box<[u8]>, Vec<(usize, usize)>> = HashMap::new();
        for (file, entry) in table.files.iter().enumerate() {
            let mut at = 0;
            for batch in self.reader(entry)? {
                let batch = batch.map_err(|error| damaged(&self.config.path.join(&entry.path)).with_source(error))?;
                let ops = batch.column_by_name(OP_COLUMN).and_then(|ops| ops.as_string_opt::<i32>().cloned());
                let ops = ops.ok_or_else(|| damaged(&self.config.path.join(&entry.path)))?;
                let aligned = aligned(&batch, relation.columns())?;
                let columns: Vec<ArrayRef> = identity.iter().map(|&i| aligned.column(i).clone()).collect();
                let keys = converter.convert_columns(&columns).map_err(unfit)?;
                for (row, key) in keys.iter().enumerate() {
                    match ops.value(row) {
                        "T" => live.clear(),
                        "D" => forget(&mut live, key.as_ref()),
                        _ if relation.key().is_empty() => {
                            live.entry(key.as_ref().into()).or_default().push((file, at + row))
                        }
                        _ => drop(live.insert(key.as_ref().into(), vec![(file, at + row)])),
                    }
                }
                at += batch.num_rows();
                if live.len() > LIVE_ROWS_MAX {
                    return Err(Error::new(
                        ErrorKind::State,
                        format!("{} has more than {LIVE_ROWS_MAX} rows", relation.name()),
                    )
                    .with_hint("compare it in the engine that reads the files"));
                }
            }
        }
        let mut masks: Vec<BooleanBufferBuilder> = Vec::with_capacity(table.files.len());
        for entry in &table.files {
            let mut mask = BooleanBufferBuilder::new(entry.rows as usize);
            mask.append_n(entry.rows as usize, false);
            masks.push(mask);
        }
        for (file, row) in live.into_values().flatten() {
            masks[file].set_bit(row, true);
        }
        Ok(masks.into_iter().map(|mut mask| BooleanArray::new(mask.finish(), None)).collect())
    }
}

fn forget(live: &mut HashMap<Box<[u8]>, Vec<(usize, usize)>>, key: &[u8]) {
    if let Some(rows) = live.get_mut(key) {
        rows.pop();
        if rows.is_empty() {
            live.remove(key);
        }
    }
}

/// The rows with the table's columns: by name, added ones NULL, types cast.
fn aligned(batch: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch> {
    let failed =
        |error| Error::new(ErrorKind::Schema, "an older file does not fit the table's columns").with_source(error);
    let mut arrays = Vec::with_capacity(columns.fields().len());
    for field in columns.fields() {
        arrays.push(match batch.column_by_name(field.name()) {
            Some(array) if array.data_type() == field.data_type() => array.clone(),
            Some(array) => cast(array, field.data_type()).map_err(failed)?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        });
    }
    // A column that was added later is NULL in older files, whatever the newest says.
    let fields: Vec<_> = columns.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(failed)
}

fn damaged(path: &std::path::Path) -> Error {
    Error::new(ErrorKind::State, format!("{} is damaged or not what its manifest says", path.display()))
        .with_hint("restore the file from a backup")
}

#[async_trait]
impl Inspect for ParquetInspect {
    async fn open(&mut self, _context: &SinkContext) -> Result<View> {
        let (cut, entries) = committed_files(&self.config.path)?;
        let mut names: Vec<RelationName> = Vec::new();
        for entry in &entries {
            if !names.contains(&entry.table) {
                names.push(entry.table.clone());
            }
        }
        self.tables.clear();
        for name in names {
            let files: Vec<FileEntry> = entries.iter().filter(|entry| entry.table == name).cloned().collect();
            if let Some(newest) = files.last() {
                let relation = self.relation(newest)?;
                self.tables.push(Table { relation, files });
            }
        }
        Ok(View { cut, tables: self.tables.iter().map(|table| table.relation.clone()).collect() })
    }

    async fn start(&mut self, table: &RelationName) -> Result<()> {
        let Some(table) = self.tables.iter().find(|candidate| candidate.relation.name() == table) else {
            return Err(Error::config(format!("the folder has no table {table}")));
        };
        let masks: Vec<Option<BooleanArray>> = match self.config.mode {
            Mode::Append => vec![None; table.files.len()],
            Mode::Changelog => self.fold(table)?.into_iter().map(Some).collect(),
        };
        let files = table.files.iter().cloned().zip(masks).collect();
        self.reading = Some(Reading { relation: table.relation.clone(), files, current: None });
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(mut reading) = self.reading.take() else { return Ok(None) };
        loop {
            let Some((reader, mask, at)) = &mut reading.current else {
                let Some((entry, mask)) = reading.files.pop_front() else { return Ok(None) };
                reading.current = Some((self.reader(&entry)?, mask, 0));
                continue;
            };
            let Some(batch) = reader.next() else {
                reading.current = None;
                continue;
            };
            let batch = batch.map_err(|error| damaged(&self.config.path).with_source(error))?;
            let mut rows = aligned(&batch, reading.relation.columns())?;
            if let Some(mask) = mask {
                let mask = mask.slice(*at, rows.num_rows());
                rows = filter_record_batch(&rows, &mask)
                    .map_err(|error| Error::bug("cannot filter rows").with_source(error))?;
            }
            *at += batch.num_rows();
            if rows.num_rows() > 0 {
                self.reading = Some(reading);
                return Ok(Some(rows));
            }
        }
    }
}
