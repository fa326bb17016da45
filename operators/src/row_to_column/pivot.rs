//! Rows of the input as changes of the rows that are made.

use aqueduct_model::{Batch, Op, Result};
use arrow::array::{Array, ArrayRef, StringArray};
use arrow::row::{OwnedRow, Rows};

use super::config::{Others, RowToColumnConfig};
use super::held::{Changed, Held};
use super::layout::Layout;
use crate::text::as_text;
use crate::verdicts::Refused;

/// A batch, taken apart.
struct Input<'a> {
    batch: &'a Batch,
    layout: &'a Layout,
    config: &'a RowToColumnConfig,
    groups: Rows,
    values: Rows,
    names: StringArray,
}

/// Where a row belongs.
struct Place {
    group: OwnedRow,
    cell: usize,
}

impl Input<'_> {
    fn place(&self, row: usize) -> Option<Place> {
        if self.layout.is_lost(self.batch, row) || self.names.is_null(row) {
            return None;
        }
        let cell = self.config.columns.iter().position(|column| column == self.names.value(row))?;
        Some(Place { group: self.groups.row(row).owned(), cell })
    }

    /// Why a new row has no place; `None` when it is to be left out.
    fn refusal(&self, row: usize) -> Option<&'static str> {
        if self.layout.is_lost(self.batch, row) {
            return Some("the source did not send the values that say which row this one is part of");
        }
        match self.config.others {
            Others::Reject => Some("the name is not among those that become columns"),
            Others::Drop => None,
        }
    }

    fn is_absent(&self, row: usize) -> bool {
        self.batch.present(self.layout.value).is_some_and(|present| !present.value(row))
    }
}

/// Applies a batch to the rows that are held: how they change, and which rows are refused.
pub(super) fn apply(
    config: &RowToColumnConfig,
    layout: &Layout,
    held: &mut Held,
    batch: &Batch,
) -> Result<(Vec<Changed>, Refused)> {
    let columns: Vec<ArrayRef> = layout.group.iter().map(|&i| batch.rows().column(i).clone()).collect();
    let input = Input {
        batch,
        layout,
        config,
        groups: held.groups_of(&columns)?,
        values: held.values_of(batch.rows().column(layout.value))?,
        names: as_text(batch.rows().column(layout.name))?,
    };
    let (mut changed, mut refused): (Vec<Changed>, Refused) = (Vec::new(), Vec::new());
    // The place that the old half of an update leaves, unless the new half takes it again.
    let mut left: Option<Place> = None;
    for row in 0..batch.num_rows() {
        let place = input.place(row);
        match (batch.op(row), place) {
            (Op::UpdateBefore, place) => left = place,
            // A row without a place was refused when it was new: there is nothing to take back.
            (Op::Delete, None) => {}
            (Op::Delete, Some(Place { group, cell })) => held.put(&group, cell, None, &mut changed)?,
            (op, place) => {
                let reason = match &place {
                    None => input.refusal(row),
                    Some(place) => clash(&input, held, left.as_ref(), place, op, row),
                };
                let stays = matches!((&left, &place), (Some(old), Some(new)) if same(old, new));
                if let Some(old) = left.take().filter(|_| !stays || reason.is_some()) {
                    held.put(&old.group, old.cell, None, &mut changed)?;
                }
                refused.extend(reason.map(|reason| (row, reason.to_owned())));
                if let (None, Some(Place { group, cell })) = (reason, place)
                    && !input.is_absent(row)
                {
                    held.put(&group, cell, Some(input.values.row(row).owned()), &mut changed)?;
                }
            }
        }
    }
    Ok((changed, refused))
}

/// Why a new row cannot take its place.
fn clash(
    input: &Input<'_>,
    held: &Held,
    left: Option<&Place>,
    place: &Place,
    op: Op,
    row: usize,
) -> Option<&'static str> {
    let taken = held.has(&place.group, place.cell);
    if input.is_absent(row) && !taken {
        return Some("the source did not send the value; have it send full rows");
    }
    let own = left.is_some_and(|left| same(left, place));
    if taken && !own && op == Op::Insert && !input.layout.keyed {
        return Some("there is a row of the same name already");
    }
    None
}

fn same(a: &Place, b: &Place) -> bool {
    a.cell == b.cell && a.group == b.group
}
