//! From folded keys to whole rows: values that the source left out come from the target's row.

use std::collections::HashMap;
use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray, new_null_array};

use super::compaction::{Base, Changes, Folded, Image, MISSING, Slot};
use super::images::Images;
use super::{Database, Table, versions};

/// The target's rows that images are laid over.
pub(super) struct Stored {
    pub rows: RecordBatch,
    /// By the row of the sequence whose key was looked up: the row in `rows`.
    pub by_key_row: HashMap<u32, usize>,
}

/// Makes the changes of a keyed table. Rows that cannot be completed are added to `folded.refused`.
pub(super) fn resolve(
    database: &mut dyn Database,
    table: &Table,
    images: &Images,
    folded: &mut Folded,
) -> Result<Changes> {
    if table.keeps_versions() {
        return versions::resolve(database, table, images, folded);
    }
    let soft = table.soft_delete();
    let dead: Vec<u32> = folded
        .slots
        .iter()
        .filter(|slot| !(slot.live || soft && slot.image.is_some()))
        .map(|slot| slot.key_row)
        .collect();
    let dead = if dead.is_empty() { None } else { Some(images.take(&table.key, &dead)?) };
    let untouched = folded.slots.len() == images.len() as usize
        && dead.is_none()
        && images.all_complete()
        && !soft
        && folded.refused.is_empty();
    if untouched {
        let likely_new = images.append_only();
        return Ok(Changes { dead, rows: images.batches(), likely_new, ..Changes::default() });
    }
    let stored = look_up(database, table, images, folded)?;
    let (slots, refused) = (&folded.slots, &mut folded.refused);
    let kept = usable(images, slots, stored.as_ref(), refused);
    let moment = chrono::Utc::now().timestamp_micros();
    if kept.is_empty() {
        return Ok(Changes { dead, moment, ..Changes::default() });
    }
    let mut columns = Vec::with_capacity(table.columns.fields().len());
    for column in 0..images.schema().fields().len() {
        columns.push(assemble(images, stored.as_ref(), column, &kept)?);
    }
    if soft {
        columns.push(Arc::new(BooleanArray::from_iter(kept.iter().map(|(slot, _)| Some(!slot.live)))) as ArrayRef);
        columns.push(Arc::new(TimestampMicrosecondArray::from_value(moment, kept.len()).with_timezone("UTC")));
    }
    let rows = RecordBatch::try_new(table.columns.clone(), columns)
        .map_err(|error| Error::bug(format!("cannot assemble rows of {}", table.name)).with_source(error))?;
    let origins = kept.iter().map(|(_, image)| image.row).collect();
    Ok(Changes { dead, rows: vec![rows], origins: Some(origins), moment, ..Changes::default() })
}

/// The images whose values are all known, or in the target.
pub(super) fn usable<'a>(
    images: &Images,
    slots: &'a [Slot],
    stored: Option<&Stored>,
    refused: &mut Vec<(u32, String)>,
) -> Vec<(&'a Slot, &'a Image)> {
    let mut kept = Vec::with_capacity(slots.len());
    for slot in slots {
        let Some(image) = &slot.image else { continue };
        let is_stored = match image.base {
            Base::Stored { key_row } => stored.is_some_and(|stored| stored.by_key_row.contains_key(&key_row)),
            Base::Nothing => false,
        };
        match first_missing(image) {
            Some(column) if !is_stored => {
                let reason = images.column_not_sent(image.row, column, "the target does not have its row");
                refused.push((image.row, reason));
            }
            _ => kept.push((slot, image)),
        }
    }
    kept
}

/// The first column whose value only the target can have.
fn first_missing(image: &Image) -> Option<usize> {
    image.picks.as_ref()?.iter().position(|&pick| pick == MISSING)
}

/// Reads the target's rows of all images that lack values.
fn look_up(database: &mut dyn Database, table: &Table, images: &Images, folded: &Folded) -> Result<Option<Stored>> {
    let key_rows: Vec<u32> = folded
        .slots
        .iter()
        .filter_map(|slot| slot.image.as_ref())
        .filter(|image| first_missing(image).is_some())
        .filter_map(|image| match image.base {
            Base::Stored { key_row } => Some(key_row),
            Base::Nothing => None,
        })
        .collect();
    stored(database, table, images, &key_rows)
}

/// Reads the target's rows that have the keys of those rows of the sequence.
pub(super) fn stored(
    database: &mut dyn Database,
    table: &Table,
    images: &Images,
    key_rows: &[u32],
) -> Result<Option<Stored>> {
    if key_rows.is_empty() {
        return Ok(None);
    }
    let (rows, found) = database.lookup(table, &images.take(&table.key, key_rows)?)?;
    let by_key_row = found.into_iter().enumerate().map(|(row, key)| (key_rows[key], row)).collect();
    Ok(Some(Stored { rows, by_key_row }))
}

/// One column of the rows to write.
pub(super) fn assemble(
    images: &Images,
    stored: Option<&Stored>,
    column: usize,
    kept: &[(&Slot, &Image)],
) -> Result<ArrayRef> {
    let mut sources: Vec<&dyn Array> = images.column(column);
    let null = new_null_array(images.schema().field(column).data_type(), 1);
    let null_at = (sources.len(), 0);
    sources.push(&null);
    let stored_part = sources.len();
    if let Some(stored) = stored {
        sources.push(stored.rows.column(column));
    }
    let indices: Vec<(usize, usize)> = kept
        .iter()
        .map(|(_, image)| match image.picks.as_ref().map_or(image.row, |picks| picks[column]) {
            MISSING => match (image.base, stored) {
                (Base::Stored { key_row }, Some(stored)) => {
                    stored.by_key_row.get(&key_row).map_or(null_at, |&row| (stored_part, row))
                }
                _ => null_at,
            },
            n => images.locate(n),
        })
        .collect();
    arrow::compute::interleave(&sources, &indices)
        .map_err(|error| Error::bug("cannot assemble a column").with_source(error))
}
