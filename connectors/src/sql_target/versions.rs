//! Mode `scd2`: what closes a version, and what begins one.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::row::{RowConverter, SortField};

use super::compaction::{Changes, Folded, Image, Slot};
use super::images::Images;
use super::resolve::{Stored, assemble, stored, usable};
use super::{Database, Table};

/// Makes the changes of a table that keeps versions: `dead` are the keys whose current version is closed, `rows` the
/// new versions. A row that is as its current version makes no new one, so that reading the source again adds nothing.
pub(super) fn resolve(
    database: &mut dyn Database,
    table: &Table,
    images: &Images,
    folded: &mut Folded,
) -> Result<Changes> {
    // A value that was not sent may be in the row of another key: the one before the key changed.
    let mut asked: Vec<u32> = folded.slots.iter().map(|slot| slot.key_row).collect();
    let by_slot = asked.len();
    asked.extend(folded.slots.iter().filter_map(|slot| match slot.image.as_ref()?.base {
        super::compaction::Base::Stored { key_row } => Some(key_row),
        super::compaction::Base::Nothing => None,
    }));
    asked[by_slot..].sort_unstable();
    let mut seen: std::collections::HashSet<u32> = std::collections::HashSet::with_capacity(asked.len());
    asked.retain(|row| seen.insert(*row));
    let found = stored(database, table, images, &asked)?;
    let refused_before = folded.refused.len();
    let kept = usable(images, &folded.slots, found.as_ref(), &mut folded.refused);
    let refused: Vec<u32> = folded.refused[refused_before..].iter().map(|(row, _)| *row).collect();
    let columns: Vec<ArrayRef> = (0..images.schema().fields().len())
        .map(|column| assemble(images, found.as_ref(), column, &kept))
        .collect::<Result<_>>()?;
    let assembled = RecordBatch::try_new_with_options(
        images.schema().clone(),
        columns,
        &arrow::array::RecordBatchOptions::new().with_row_count(Some(kept.len())),
    )
    .map_err(|error| Error::bug("cannot assemble versions").with_source(error))?;
    let changed = changed_rows(&assembled, found.as_ref(), &kept)?;
    let current = |slot: &Slot| found.as_ref().is_some_and(|found| found.by_key_row.contains_key(&slot.key_row));
    let was_refused = |slot: &Slot| slot.image.as_ref().is_some_and(|image| refused.contains(&image.row));
    let gone = folded.slots.iter().filter(|slot| !slot.live && current(slot) && !was_refused(slot));
    let mut closed: Vec<u32> = gone.map(|slot| slot.key_row).collect();
    closed.extend(changed.iter().map(|&row| kept[row].0).filter(|slot| current(slot)).map(|slot| slot.key_row));
    let dead = if closed.is_empty() { None } else { Some(images.take(&table.key, &closed)?) };
    let moment = chrono::Utc::now().timestamp_micros();
    let rows = if changed.is_empty() { Vec::new() } else { vec![begun(table, &assembled, &changed, moment)?] };
    let origins = changed.iter().map(|&row| kept[row].1.row).collect();
    Ok(Changes { dead, rows, origins: Some(origins), moment, likely_new: true, ..Changes::default() })
}

/// The assembled rows that differ from the current versions of their keys.
fn changed_rows(assembled: &RecordBatch, found: Option<&Stored>, kept: &[(&Slot, &Image)]) -> Result<Vec<usize>> {
    let live = kept.iter().enumerate().filter(|(_, (slot, _))| slot.live).map(|(row, _)| row);
    let Some(found) = found.filter(|found| found.rows.num_rows() > 0) else { return Ok(live.collect()) };
    let failed = |error| Error::bug("cannot compare versions").with_source(error);
    let fields = assembled.columns().iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(failed)?;
    let new = converter.convert_columns(assembled.columns()).map_err(failed)?;
    let old = converter.convert_columns(found.rows.columns()).map_err(failed)?;
    let same = |row: usize| found.by_key_row.get(&kept[row].0.key_row).is_some_and(|&at| old.row(at) == new.row(row));
    Ok(live.filter(|&row| !same(row)).collect())
}

/// The new versions, with the columns of the mode.
fn begun(table: &Table, assembled: &RecordBatch, rows: &[usize], moment: i64) -> Result<RecordBatch> {
    let indices = UInt32Array::from_iter_values(rows.iter().map(|&row| row as u32));
    let failed = |error| Error::bug("cannot take versions").with_source(error);
    let taken = arrow::compute::take_record_batch(assembled, &indices).map_err(failed)?;
    let mut columns = taken.columns().to_vec();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    columns.push(Arc::new(TimestampMicrosecondArray::from_value(moment, rows.len()).with_timezone("UTC")));
    columns.push(new_null_array(&utc, rows.len()));
    columns.push(Arc::new(BooleanArray::from(vec![true; rows.len()])));
    RecordBatch::try_new(table.columns.clone(), columns).map_err(failed)
}
