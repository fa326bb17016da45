//! Pairs of rows that come and go, as changes of the output: what comes and goes again within a batch does not show, and
//! of one key the row that goes and the row that comes are an update.

use std::collections::HashMap;

use aqueduct_model::{Batch, Op, Result};

use super::kept::Kept;
use crate::join::joined::{Pair, borrowed, rows};
use crate::join::shape::Shape;

/// See the module.
#[derive(Default)]
pub(super) struct Pairs {
    places: HashMap<Vec<u8>, usize>,
    /// For each key of the output the pairs that came and went, and how often.
    changed: Vec<Vec<(Pair, i64)>>,
    count: usize,
}

impl Pairs {
    /// A pair comes so often (`by` > 0), or goes.
    pub(super) fn add(&mut self, shape: &Shape, pair: [Option<&Kept>; 2], by: i64) {
        let mut key = Vec::new();
        for (row, is_key) in pair.iter().zip(shape.by) {
            if let (true, Some(row)) = (is_key, row) {
                key.push(1);
                key.extend((row.id.len() as u32).to_le_bytes());
                key.extend_from_slice(&row.id);
            } else {
                key.push(0);
            }
        }
        let place = *self.places.entry(key).or_insert_with(|| {
            self.changed.push(Vec::new());
            self.changed.len() - 1
        });
        let bytes = pair.map(|row| row.map(|row| row.bytes.clone()));
        self.count += 1;
        let changed = &mut self.changed[place];
        match changed.iter_mut().find(|(known, _)| *known == bytes) {
            Some((_, count)) => *count += by,
            None => changed.push((bytes, by)),
        }
    }

    /// How many pairs came and went.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The changes of the output; none are left here.
    ///
    /// # Errors
    /// `State` when kept rows are not of their columns.
    pub(super) fn take(&mut self, shape: &Shape) -> Result<Option<Batch>> {
        let Self { changed, .. } = std::mem::take(self);
        let (mut pairs, mut ops): (Vec<Pair>, Vec<u8>) = (Vec::new(), Vec::new());
        let (mut new, has_key) = (Vec::new(), !shape.output.key().is_empty());
        for changes in changed {
            let times = |count: i64| usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            let gone = changes.iter().filter(|(_, count)| *count < 0);
            let gone: Vec<Pair> = gone.flat_map(|(pair, count)| vec![pair.clone(); times(*count)]).collect();
            let come = changes.iter().filter(|(_, count)| *count > 0);
            let come: Vec<Pair> = come.flat_map(|(pair, count)| vec![pair.clone(); times(*count)]).collect();
            let is_update = gone.len() == 1 && come.len() == 1 && has_key;
            let op = if is_update { Op::UpdateBefore } else { Op::Delete };
            ops.extend(std::iter::repeat_n(op as u8, gone.len()));
            pairs.extend(gone);
            if is_update {
                ops.push(Op::UpdateAfter as u8);
                pairs.extend(come);
            } else {
                new.extend(come);
            }
        }
        // Without a key, a row that goes may look like one that comes: it goes first.
        ops.extend(std::iter::repeat_n(Op::Insert as u8, new.len()));
        pairs.extend(new);
        if pairs.is_empty() {
            return Ok(None);
        }
        let rows = rows(shape, &borrowed(&pairs))?;
        if ops.iter().all(|op| *op == Op::Insert as u8) {
            return Batch::inserts(shape.output.clone(), rows).map(Some);
        }
        Batch::changes(shape.output.clone(), rows, ops.into()).map(Some)
    }
}
