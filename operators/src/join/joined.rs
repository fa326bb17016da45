//! Pairs of rows, as bytes, and the rows of the output that they make.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, take};
use arrow::datatypes::{FieldRef, Schema};

use super::shape::{Chosen, Shape};

/// The needed columns of a row of each table, as bytes; `None` where a row has no partner.
pub(super) type Pair = [Option<Vec<u8>>; 2];

/// A [`Pair`] that lies elsewhere.
pub(super) type PairRef<'a> = [Option<&'a [u8]>; 2];

/// Pairs where they lie.
pub(super) fn borrowed(pairs: &[Pair]) -> Vec<PairRef<'_>> {
    pairs.iter().map(|[left, right]| [left.as_deref(), right.as_deref()]).collect()
}

/// For each pair whether it fulfils the condition; true where there is none.
///
/// # Errors
/// `Data` when the condition cannot be computed.
pub(super) fn holds(shape: &Shape, pairs: &[PairRef<'_>]) -> Result<Vec<bool>> {
    let Some(condition) = shape.condition.as_ref().filter(|_| !pairs.is_empty()) else {
        return Ok(vec![true; pairs.len()]);
    };
    let fields: Vec<FieldRef> = shape.sides.iter().flat_map(|side| side.narrow.fields().iter().cloned()).collect();
    // Names may come twice here, and the condition knows its columns by their places.
    let both = RecordBatch::try_new(Arc::new(Schema::new(fields)), both(shape, pairs)?).map_err(unfit)?;
    let holds = condition.evaluate(&both)?;
    let holds = holds.as_boolean();
    Ok((0..pairs.len()).map(|i| holds.is_valid(i) && holds.value(i)).collect())
}

/// Pairs as rows of the needed columns of both tables.
///
/// # Errors
/// `State` when kept rows are not of their columns.
fn both(shape: &Shape, pairs: &[PairRef<'_>]) -> Result<Vec<ArrayRef>> {
    let mut all: Vec<ArrayRef> = Vec::new();
    for (i, side) in shape.sides.iter().enumerate() {
        let there = side.restored(pairs.iter().filter_map(|pair| pair[i]))?;
        if there.num_rows() == pairs.len() {
            all.extend_from_slice(there.columns());
            continue;
        }
        let mut next = 0..there.num_rows() as u64;
        let places: UInt64Array = pairs.iter().map(|pair| pair[i].and_then(|_| next.next())).collect();
        for column in there.columns() {
            all.push(take(column, &places, None).map_err(unfit)?);
        }
    }
    Ok(all)
}

/// Pairs as rows of the output.
///
/// # Errors
/// `State` when kept rows are not of their columns.
pub(super) fn rows(shape: &Shape, pairs: &[PairRef<'_>]) -> Result<RecordBatch> {
    let all = both(shape, pairs)?;
    let has_left = BooleanArray::from(pairs.iter().map(|pair| pair[0].is_some()).collect::<Vec<_>>());
    let column = |chosen: &Chosen| match chosen.or {
        Some(or) if has_left.false_count() > 0 => {
            let other = cast(&all[or], all[chosen.place].data_type()).map_err(unfit)?;
            zip(&has_left, &all[chosen.place], &other).map_err(unfit)
        }
        _ => Ok(all[chosen.place].clone()),
    };
    let columns = shape.chosen.iter().map(column).collect::<Result<Vec<_>>>()?;
    RecordBatch::try_new(shape.output.columns().clone(), columns).map_err(unfit)
}

fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::bug("joined rows do not fit their own columns").with_source(error)
}
