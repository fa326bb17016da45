//! A row comes or goes, and with it the pairs that it makes.

use aqueduct_model::{Error, ErrorKind, Result};

use super::kept::{Kept, Rows};
use super::pairs::Pairs;
use crate::join::joined::{PairRef, holds};
use crate::join::shape::{Alone, Shape};

/// A table's row that comes or goes, and how to find its partners.
pub(super) struct Moved<'a> {
    /// 0 for the left table, 1 for the right one.
    pub(super) side: usize,
    pub(super) has_key: bool,
    /// The key of its only possible partner, where that is known.
    pub(super) partner: Option<&'a [u8]>,
}

/// Adds a row (`sign` 1) or takes it away (-1). Without a `shape` the other table is not known yet, and has no rows.
///
/// # Errors
/// `Data` when a row is taken away that was never there.
pub(super) fn fold(
    shape: Option<&Shape>,
    rows: &mut Rows,
    pairs: &mut Pairs,
    moved: &Moved<'_>,
    mut row: Kept,
    sign: i64,
) -> Result<()> {
    let side = moved.side;
    row.count += sign;
    if row.count < 0 {
        return Err(Error::new(ErrorKind::Data, "a row is taken away that was never there")
            .with_hint("the input has to begin with the table's rows: start over with `aqueduct checkpoint reset`"));
    }
    if let Some(shape) = shape {
        let other = 1 - side;
        let mut found = 0;
        for mut partner in partners(shape, rows, moved, &row)? {
            found += partner.count;
            if shape.has_pairs {
                pairs.add(shape, sided(side, Some(&row), Some(&partner)), sign * partner.count);
            }
            let alone = shape.alone[other];
            if alone == Alone::Never {
                continue;
            }
            let was_shown = alone.shows(partner.partners);
            partner.partners += sign;
            // The first partner ends its being alone, and the last one that goes begins it.
            match (was_shown, alone.shows(partner.partners)) {
                (true, false) => pairs.add(shape, sided(side, None, Some(&partner)), -partner.count),
                (false, true) => pairs.add(shape, sided(side, None, Some(&partner)), partner.count),
                _ => {}
            }
            rows.meet(other, &partner)?;
        }
        if shape.alone[side].shows(found) {
            pairs.add(shape, sided(side, Some(&row), None), sign);
        }
        row.partners = found;
    }
    rows.put(side, &row, moved.has_key)
}

/// The rows of the other table that a row meets.
fn partners(shape: &Shape, rows: &mut Rows, moved: &Moved<'_>, row: &Kept) -> Result<Vec<Kept>> {
    let Some(on) = row.on() else { return Ok(Vec::new()) };
    let other = 1 - moved.side;
    let found: Vec<Kept> = match moved.partner {
        Some(id) => rows.get(other, Some(on), id)?.into_iter().collect(),
        None => rows.partners(other, on)?,
    };
    if shape.condition.is_none() {
        return Ok(found);
    }
    let made: Vec<PairRef<'_>> = found
        .iter()
        .map(|partner| sided(moved.side, Some(row), Some(partner)).map(|row| row.map(|row| row.bytes.as_slice())))
        .collect();
    let holds = holds(shape, &made)?;
    Ok(found.into_iter().zip(holds).filter(|(_, holds)| *holds).map(|(partner, _)| partner).collect())
}

/// The left row before the right one.
fn sided<'a>(side: usize, row: Option<&'a Kept>, partner: Option<&'a Kept>) -> [Option<&'a Kept>; 2] {
    if side == 0 { [row, partner] } else { [partner, row] }
}
