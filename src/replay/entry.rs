//! One line of a recording's index, and the bytes of its rows.

use std::io::Cursor;
use std::sync::Arc;

use aqueduct_model::{Batch, Epoch, Error, ErrorKind, Ops, Position, Relation, RelationName, Result, SchemaChange};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, UInt8Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};

use super::change_text::KeptChange;

/// The column with the ops, behind those of the table.
const OPS: &str = "aqueduct.ops";
/// Columns with what is present begin with this, then the number of the column.
const PRESENT: &str = "aqueduct.present.";

/// A line of the index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) kind: Kind,
    /// Where the source stood behind it; `None` inside a transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<Position>,
}

/// What a line is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The source was opened for the first time.
    Begin,
    Batch {
        bytes: Range,
        relation: KeptRelation,
        ingested_at_ms: i64,
    },
    /// The bytes hold the columns and no rows.
    Schema {
        bytes: Range,
        relation: KeptRelation,
        change: KeptChange,
        statement: Option<String>,
    },
    /// The source moved on without giving anything.
    Moved,
    /// An epoch was committed everywhere, at the line's position.
    Committed {
        epoch: Epoch,
    },
}

/// Where the bytes are in the file with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    pub(super) from: u64,
    pub(super) len: u64,
}

/// A table without its columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptRelation {
    name: RelationName,
    key: Vec<String>,
    version: u32,
}

impl KeptRelation {
    pub(super) fn of(relation: &Relation) -> Self {
        let key = relation.key_names().into_iter().map(str::to_owned).collect();
        Self { name: relation.name().clone(), key, version: relation.version() }
    }
}

/// The rows of a batch, with ops and present-masks as further columns.
pub(super) fn batch_bytes(batch: &Batch) -> Result<Vec<u8>> {
    let schema = batch.rows().schema();
    let mut fields: Vec<Arc<Field>> = schema.fields().to_vec();
    let mut columns: Vec<ArrayRef> = batch.rows().columns().to_vec();
    if let Ops::PerRow(ops) = batch.ops() {
        fields.push(Arc::new(Field::new(OPS, DataType::UInt8, false)));
        columns.push(Arc::new(ops.clone()));
    }
    for column in 0..batch.rows().num_columns() {
        if let Some(present) = batch.present(column) {
            fields.push(Arc::new(Field::new(format!("{PRESENT}{column}"), DataType::Boolean, false)));
            columns.push(Arc::new(present.clone()));
        }
    }
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let rows = RecordBatch::try_new(schema, columns).map_err(unwritable)?;
    stream(&rows)
}

/// The columns of a table.
pub(super) fn schema_bytes(relation: &Relation) -> Result<Vec<u8>> {
    stream(&RecordBatch::new_empty(relation.columns().clone()))
}

fn stream(rows: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).map_err(unwritable)?;
    writer.write(rows).and_then(|()| writer.finish()).map_err(unwritable)?;
    writer.into_inner().map_err(unwritable)
}

/// The batch that [`batch_bytes`] wrote.
pub(super) fn batch(bytes: &[u8], kept: &KeptRelation, ingested_at_ms: i64) -> Result<Batch> {
    let rows = read(bytes)?;
    let schema = rows.schema();
    let is_own = |field: &Field| field.name() != OPS && !field.name().starts_with(PRESENT);
    let width = schema.fields().iter().take_while(|field| is_own(field)).count();
    let fields: Vec<Arc<Field>> = schema.fields()[..width].to_vec();
    let columns = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let own = RecordBatch::try_new(columns.clone(), rows.columns()[..width].to_vec()).map_err(damaged)?;
    let relation = Arc::new(Relation::new(kept.name.clone(), columns, &kept.key, kept.version)?);
    let ops: Option<UInt8Array> = rows.column_by_name(OPS).map(|ops| ops.as_primitive::<UInt8Type>().clone());
    let mut batch = match ops {
        Some(ops) => Batch::changes(relation, own, ops)?,
        None => Batch::inserts(relation, own)?,
    };
    for column in 0..width {
        let present: Option<BooleanArray> =
            rows.column_by_name(&format!("{PRESENT}{column}")).map(|present| present.as_boolean().clone());
        if let Some(present) = present.filter(|present| present.len() == batch.num_rows()) {
            batch = batch.with_present(column, present)?;
        }
    }
    Ok(batch.with_ingested_at_ms(ingested_at_ms))
}

/// The change whose columns [`schema_bytes`] wrote.
pub(super) fn schema_change(
    bytes: &[u8],
    kept: &KeptRelation,
    change: KeptChange,
    statement: Option<String>,
) -> Result<SchemaChange> {
    let columns = read(bytes)?.schema();
    let relation = Relation::new(kept.name.clone(), columns, &kept.key, kept.version)?;
    Ok(SchemaChange { statement, ..SchemaChange::new(Arc::new(relation), change.change()) })
}

fn read(bytes: &[u8]) -> Result<RecordBatch> {
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(damaged)?;
    let empty = RecordBatch::new_empty(reader.schema());
    reader.next().transpose().map_err(damaged).map(|rows| rows.unwrap_or(empty))
}

fn unwritable(error: arrow::error::ArrowError) -> Error {
    Error::bug("rows cannot be written as Arrow IPC").with_source(error)
}

fn damaged(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::Data, "the recording is damaged: its rows are not Arrow IPC")
        .with_source(error)
        .with_hint("record anew into an empty folder")
}
