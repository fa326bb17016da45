//! A batch as rows of a file: inserts as they are, or a changelog with `_op` and `_epoch`.

use std::sync::Arc;

use aqueduct_model::{BadRow, BadRows, Batch, Error, Op, Ops, Relation, Result};
use arrow::array::{
    ArrayRef, BooleanArray, DynComparator, Int64Array, RecordBatch, StringArray, make_comparator, new_null_array,
};
use arrow::compute::{SortOptions, filter_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use schemars::JsonSchema;
use serde::Deserialize;

/// The changelog column with `I`, `U`, `D` or `T`.
pub(crate) const OP_COLUMN: &str = "_op";
/// The changelog column with the epoch.
pub(crate) const EPOCH_COLUMN: &str = "_epoch";

/// What the files hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Inserted rows as they are; an update or delete is an error.
    #[default]
    Append,
    /// Every change as a row, with the columns `_op` and `_epoch` in front.
    Changelog,
}

impl Mode {
    /// The columns of the files of a relation.
    ///
    /// # Errors
    /// `Schema` when the relation has a column named like one of ours.
    pub(super) fn columns(self, relation: &Relation) -> Result<SchemaRef> {
        let columns = relation.columns();
        if self == Self::Append {
            return Ok(columns.clone());
        }
        let mut fields = vec![
            Arc::new(Field::new(OP_COLUMN, DataType::Utf8, false)),
            Arc::new(Field::new(EPOCH_COLUMN, DataType::Int64, false)),
        ];
        for field in columns.fields() {
            if fields[..2].iter().any(|ours| ours.name() == field.name()) {
                return Err(Error::new(
                    aqueduct_model::ErrorKind::Schema,
                    format!("{} has a column {}, which a changelog needs for itself", relation.name(), field.name()),
                )
                .with_hint("rename the column with a Mapping before this sink"));
            }
            // A deleted row has nothing but its key, a truncation not even that.
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
        Ok(Arc::new(Schema::new_with_metadata(fields, columns.metadata().clone())))
    }
}

/// The rows of an append-only file; rows with values that the source did not send are refused.
pub(super) fn appended(batch: &Batch, bad: &mut BadRows) -> Result<RecordBatch> {
    if !batch.is_append_only() {
        return Err(Error::config(format!(
            "{} has updates or deletes, and the files take inserts only",
            batch.relation().name()
        ))
        .with_setting("mode")
        .with_hint("set `mode: changelog`, or write to a sink that can update"));
    }
    if !batch.has_absent() {
        return Ok(batch.rows().clone());
    }
    let kept = without_absent(batch, bad, |_| true)?;
    filter_record_batch(batch.rows(), &kept).map_err(|error| Error::bug("cannot filter rows").with_source(error))
}

/// True for the rows to keep; rows that `matters` and that lack a value are refused.
fn without_absent(batch: &Batch, bad: &mut BadRows, matters: impl Fn(usize) -> bool) -> Result<BooleanArray> {
    let mut kept = vec![true; batch.num_rows()];
    for (row, keep) in kept.iter_mut().enumerate() {
        let columns = batch.relation().columns().fields().iter().enumerate();
        let absent: Vec<&str> = columns
            .filter(|(column, _)| batch.present(*column).is_some_and(|present| !present.value(row)))
            .map(|(_, field)| field.name().as_str())
            .collect();
        if !absent.is_empty() && matters(row) {
            *keep = false;
            let reason = format!("the source did not send {}, which a file cannot tell from NULL", absent.join(", "));
            bad.reject(BadRow::of_batch(batch, row, reason))?;
        }
    }
    Ok(BooleanArray::from(kept))
}

/// The rows of a changelog file; `columns` are those of [`Mode::columns`].
///
/// With a key an update is one row `U`, or `D` and `U` where the key changes; without a key it is `D` and `I`.
pub(super) fn logged(batch: &Batch, columns: &SchemaRef, epoch: u64, bad: &mut BadRows) -> Result<RecordBatch> {
    let failed = |error| Error::bug("cannot make the rows of a changelog").with_source(error);
    let rows = batch.num_rows();
    let (ops, kept) = match batch.ops() {
        Ops::AllInsert => (vec!["I"; rows], None),
        Ops::PerRow(_) => {
            let (ops, kept) = codes(batch, bad)?;
            (ops, Some(BooleanArray::from(kept)))
        }
    };
    let keyless = batch.relation().key().is_empty();
    let whole = match batch.has_absent() {
        true => Some(without_absent(batch, bad, |row| keyless || ops[row] != "D")?),
        false => None,
    };
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(batch.rows().num_columns() + 2);
    arrays.push(Arc::new(StringArray::from_iter_values(ops)));
    arrays.push(Arc::new(Int64Array::from_value(epoch as i64, rows)));
    arrays.extend(batch.rows().columns().iter().cloned());
    let mut logged = RecordBatch::try_new(columns.clone(), arrays).map_err(failed)?;
    let mask = match (kept, whole) {
        (Some(kept), Some(whole)) => Some(arrow::compute::and(&kept, &whole).map_err(failed)?),
        (kept, whole) => kept.or(whole),
    };
    if let Some(mask) = mask.filter(|mask| mask.true_count() < rows) {
        logged = filter_record_batch(&logged, &mask).map_err(failed)?;
    }
    Ok(logged)
}

/// Each row's code, and whether the row is written at all.
fn codes(batch: &Batch, bad: &mut BadRows) -> Result<(Vec<&'static str>, Vec<bool>)> {
    let rows = batch.num_rows();
    let keyless = batch.relation().key().is_empty();
    let mut comparators: Vec<DynComparator> = Vec::new();
    for &column in batch.relation().key() {
        let values = batch.rows().column(column);
        let comparator = make_comparator(values, values, SortOptions::default())
            .map_err(|error| Error::bug("cannot compare key values").with_source(error))?;
        comparators.push(comparator);
    }
    let same_key = |a: usize, b: usize| comparators.iter().all(|compare| compare(a, b).is_eq());
    let (mut ops, mut kept) = (vec!["I"; rows], vec![true; rows]);
    for row in 0..rows {
        match batch.op(row) {
            Op::Insert => {}
            Op::Delete => ops[row] = "D",
            Op::UpdateBefore if keyless => ops[row] = "D",
            Op::UpdateBefore => {
                ops[row] = "D";
                kept[row] = !same_key(row, row + 1);
            }
            Op::UpdateAfter if !keyless => ops[row] = "U",
            Op::UpdateAfter => {
                if row == 0 || batch.op(row - 1) != Op::UpdateBefore {
                    kept[row] = false;
                    let reason = "an update without its old row, in a table without a key";
                    bad.reject(BadRow::of_batch(batch, row, reason))?;
                }
            }
        }
    }
    Ok((ops, kept))
}

/// The row that says that all rows are gone.
pub(super) fn truncation(columns: &SchemaRef, epoch: u64) -> Result<RecordBatch> {
    let mut arrays: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec!["T"])), Arc::new(Int64Array::from(vec![epoch as i64]))];
    arrays.extend(columns.fields().iter().skip(2).map(|field| new_null_array(field.data_type(), 1)));
    RecordBatch::try_new(columns.clone(), arrays)
        .map_err(|error| Error::bug("cannot make the rows of a changelog").with_source(error))
}
