//! A file's columns as the table's: chosen, in order, with plain types.

use std::sync::Arc;

use aqueduct_model::{Change, Error, ErrorKind, Relation, RelationName, Result, SchemaChange};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{and, cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::config::ParquetInputConfig;
use super::filter::{Predicate, predicates, row_groups_to_read};

/// The type that rows have downstream: views, dictionaries and runs are ways to store, not types of their own.
pub(super) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        other => other.clone(),
    }
}

/// How one file's rows become the table's rows.
pub(super) struct FileTable {
    pub(super) relation: Arc<Relation>,
    pub(super) projection: ProjectionMask,
    /// For each row group, whether it is read at all.
    pub(super) read_group: Vec<bool>,
    /// For each column of the table, its index in what the reader yields.
    outputs: Vec<usize>,
    /// Each predicate with the index of its column in what the reader yields.
    predicates: Vec<(Predicate, usize)>,
}

impl FileTable {
    /// Fits the settings to a file; `number` is the file's place in the list.
    pub(super) fn new(
        config: &ParquetInputConfig,
        name: &str,
        number: usize,
        file: &ArrowReaderMetadata,
    ) -> Result<Self> {
        let columns = file.schema();
        let chosen = chosen(config, columns)?;
        let fitted = predicates(&config.filter, columns)?;
        let mut roots: Vec<usize> =
            chosen.iter().copied().chain(fitted.iter().map(|predicate| predicate.column)).collect();
        roots.sort_unstable();
        roots.dedup();
        let yielded = |column: usize| roots.binary_search(&column).unwrap_or_default();
        let outputs = chosen.iter().map(|&column| yielded(column)).collect();
        let fields: Vec<Field> = chosen.iter().map(|&column| plain_field(columns.field(column))).collect();
        let version = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let relation = Relation::new(RelationName::table(name), Arc::new(Schema::new(fields)), &config.key, version)
            .map_err(|error| {
                Error::config("the key does not fit the file's columns").with_setting("key").with_source(error)
            })?;
        let read_group = row_groups_to_read(&fitted, file);
        let predicates =
            fitted.into_iter().map(|predicate| (yielded(predicate.column), predicate)).map(|(i, p)| (p, i)).collect();
        let projection = ProjectionMask::roots(file.parquet_schema(), roots);
        Ok(Self { relation: Arc::new(relation), projection, read_group, outputs, predicates })
    }

    /// The table's rows among what the reader yielded.
    pub(super) fn rows(&self, yielded: &RecordBatch) -> Result<RecordBatch> {
        let mut passed: Option<BooleanArray> = None;
        for (predicate, column) in &self.predicates {
            let mask = predicate.apply(&plain(yielded.column(*column))?)?;
            passed = Some(match passed {
                Some(before) => {
                    and(&before, &mask).map_err(|error| Error::bug("cannot join masks").with_source(error))?
                }
                None => mask,
            });
        }
        let columns: Result<Vec<ArrayRef>> = self.outputs.iter().map(|&column| plain(yielded.column(column))).collect();
        let failed = |error| Error::bug("rows of a file do not have its columns").with_source(error);
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(yielded.num_rows()));
        let rows =
            RecordBatch::try_new_with_options(self.relation.columns().clone(), columns?, &options).map_err(failed)?;
        match passed {
            Some(mask) => filter_record_batch(&rows, &mask).map_err(failed),
            None => Ok(rows),
        }
    }
}

fn chosen(config: &ParquetInputConfig, columns: &SchemaRef) -> Result<Vec<usize>> {
    if config.columns.is_empty() {
        return Ok((0..columns.fields().len()).collect());
    }
    let mut chosen = Vec::with_capacity(config.columns.len());
    for (i, name) in config.columns.iter().enumerate() {
        let column = columns.index_of(name).map_err(|_| {
            let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
            Error::config(format!("there is no column {name}"))
                .with_setting(format!("columns[{i}]"))
                .with_hint(format!("columns are: {}", names.join(", ")))
        })?;
        chosen.push(column);
    }
    Ok(chosen)
}

fn plain_field(field: &Field) -> Field {
    Field::new(field.name(), plain_type(field.data_type()), field.is_nullable())
}

fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let data_type = plain_type(array.data_type());
    if &data_type == array.data_type() {
        return Ok(array.clone());
    }
    cast(array, &data_type).map_err(|error| {
        Error::new(ErrorKind::Data, format!("cannot read values stored as {}", array.data_type())).with_source(error)
    })
}

/// What has to be said between the last row of one file and the first of the next.
pub(super) fn schema_changes(before: &Relation, after: &Arc<Relation>) -> Vec<SchemaChange> {
    let (old, new) = (before.columns().fields(), after.columns().fields());
    let names =
        |fields: Vec<&Arc<Field>>| fields.into_iter().map(|field| field.name().clone()).collect::<Vec<String>>();
    let dropped = names(old.iter().filter(|field| after.columns().index_of(field.name()).is_err()).collect());
    let added = names(new.iter().filter(|field| before.columns().index_of(field.name()).is_err()).collect());
    let altered =
        names(new.iter().filter(|field| old.iter().any(|old| old.name() == field.name() && old != *field)).collect());
    let mut changes = Vec::new();
    for (columns, change) in [
        (dropped, Change::DropColumns as fn(Vec<String>) -> Change),
        (added, Change::AddColumns),
        (altered, Change::AlterColumns),
    ] {
        if !columns.is_empty() {
            changes.push(SchemaChange::new(after.clone(), change(columns)));
        }
    }
    changes
}
