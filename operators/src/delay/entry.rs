//! What waits in the line, as bytes: `u32 length of the head · head (JSON) · rows (Arrow's IPC stream)`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use aqueduct_model::{Batch, Change, Error, ErrorKind, Ops, Relation, Result, SchemaChange, Watermark};
use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, UInt8Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, UInt8Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};

/// What waits.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// Rows, and by when they may leave, in event time.
    Rows(Batch, Due),
    /// DDL.
    Schema(SchemaChange),
    /// Progress of event time.
    Watermark(Watermark),
}

/// When rows may leave, in event time: no earlier than any row in front of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Due {
    /// The latest of all rows in front of these.
    pub(super) before_ms: i64,
    /// The latest of these and those in front.
    pub(super) last_ms: i64,
}

/// The part of an entry that is no row. Relations are numbers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum Head {
    Rows { relation: u32, due: Due, ingested_at_ms: i64, has_ops: bool, absent: Vec<usize> },
    Schema { relation: u32, change: Change, statement: Option<String> },
    Watermark { ms: Option<i64> },
}

/// As bytes; `number` gives the number of a relation.
pub(super) fn write(entry: &Entry, number: impl FnOnce(&Arc<Relation>) -> Result<u32>) -> Result<Vec<u8>> {
    let (head, rows) = match entry {
        Entry::Rows(batch, due) => {
            let absent: Vec<usize> =
                (0..batch.rows().num_columns()).filter(|&column| batch.present(column).is_some()).collect();
            let head = Head::Rows {
                relation: number(batch.relation())?,
                due: *due,
                ingested_at_ms: batch.ingested_at_ms(),
                has_ops: matches!(batch.ops(), Ops::PerRow(_)),
                absent: absent.clone(),
            };
            (head, Some(with_marks(batch, &absent)?))
        }
        Entry::Schema(SchemaChange { relation, change, statement }) => {
            let (change, statement) = (change.clone(), statement.clone());
            (Head::Schema { relation: number(relation)?, change, statement }, None)
        }
        Entry::Watermark(Watermark::Idle) => (Head::Watermark { ms: None }, None),
        Entry::Watermark(Watermark::EventTimeMs(ms)) => (Head::Watermark { ms: Some(*ms) }, None),
    };
    let head = serde_json::to_vec(&head).map_err(|error| Error::bug("a held row has no head").with_source(error))?;
    let mut bytes = (head.len() as u32).to_le_bytes().to_vec();
    bytes.extend(head);
    if let Some(rows) = rows {
        let failed = |error| Error::bug("held rows cannot be written").with_source(error);
        let mut writer = StreamWriter::try_new(&mut bytes, rows.schema_ref()).map_err(failed)?;
        writer.write(&rows).map_err(failed)?;
        writer.finish().map_err(failed)?;
    }
    Ok(bytes)
}

/// Reads what [`write`] wrote; `relation` gives the relation of a number.
///
/// # Errors
/// `State` when it did not.
pub(super) fn read(bytes: &[u8], relation: impl FnOnce(u32) -> Result<Arc<Relation>>) -> Result<Entry> {
    let (length, rest) = bytes.split_at_checked(4).ok_or_else(damaged)?;
    let length = length.try_into().map(u32::from_le_bytes).map_err(|_| damaged())? as usize;
    let (head, rows) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let head: Head = serde_json::from_slice(head).map_err(|error| damaged().with_source(error))?;
    Ok(match head {
        Head::Rows { relation: number, due, ingested_at_ms, has_ops, absent } => {
            let batch = without_marks(relation(number)?, rows, has_ops, &absent)?;
            Entry::Rows(batch.with_ingested_at_ms(ingested_at_ms), due)
        }
        Head::Schema { relation: number, change, statement } => {
            Entry::Schema(SchemaChange { relation: relation(number)?, change, statement })
        }
        Head::Watermark { ms } => Entry::Watermark(ms.map_or(Watermark::Idle, Watermark::EventTimeMs)),
    })
}

/// The rows with two kinds of columns more: what happened to them, and where a column's values are present.
fn with_marks(batch: &Batch, absent: &[usize]) -> Result<RecordBatch> {
    let mut marks: Vec<(FieldRef, ArrayRef)> = Vec::new();
    if let Ops::PerRow(ops) = batch.ops() {
        marks.push((Arc::new(Field::new("ops", DataType::UInt8, false)), Arc::new(ops.clone())));
    }
    for &column in absent {
        let present = batch.present(column).ok_or_else(|| Error::bug("a mask is gone"))?;
        marks.push((Arc::new(Field::new("present", DataType::Boolean, false)), Arc::new(present.clone())));
    }
    let fields: Vec<FieldRef> = batch
        .rows()
        .schema_ref()
        .fields()
        .iter()
        .cloned()
        .chain(marks.iter().map(|(field, _)| field.clone()))
        .collect();
    let columns: Vec<ArrayRef> =
        batch.rows().columns().iter().cloned().chain(marks.into_iter().map(|(_, cells)| cells)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Error::bug("held rows do not fit their columns").with_source(error))
}

fn without_marks(relation: Arc<Relation>, bytes: &[u8], has_ops: bool, absent: &[usize]) -> Result<Batch> {
    let failed = |error| damaged().with_source(error);
    let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(failed)?;
    let schema = reader.schema();
    let parts = reader.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let all = concat_batches(&schema, &parts).map_err(failed)?;
    let columns = relation.columns().fields().len();
    if all.num_columns() != columns + usize::from(has_ops) + absent.len() {
        return Err(damaged());
    }
    let rows = RecordBatch::try_new(relation.columns().clone(), all.columns()[..columns].to_vec()).map_err(failed)?;
    let mut marks = all.columns()[columns..].iter();
    let mut batch = match marks.next().filter(|_| has_ops) {
        Some(ops) => {
            let ops: UInt8Array = ops.as_primitive_opt::<UInt8Type>().ok_or_else(damaged)?.clone();
            Batch::changes(relation, rows, ops)?
        }
        None => Batch::inserts(relation, rows)?,
    };
    let masks: BTreeMap<usize, &ArrayRef> =
        absent.iter().copied().zip(&all.columns()[columns + usize::from(has_ops)..]).collect();
    for (column, mask) in masks {
        let mask: BooleanArray = mask.as_boolean_opt().ok_or_else(damaged)?.clone();
        batch = batch.with_present(column, mask)?;
    }
    Ok(batch)
}

pub(super) fn damaged() -> Error {
    Error::new(ErrorKind::State, "what is held back is damaged, or of another version")
        .with_hint("restore the checkpoint folder, or start over with `aqueduct checkpoint reset`")
}
