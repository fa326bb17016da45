//! The changes of a table without a key: how many equal rows are to come or to go.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use aqueduct_model::{Op, Result};

use super::compaction::{Changes, KeyHasher};
use super::images::Images;

/// The net effect on the multiset of rows, and the rows of the sequence that cannot be used.
pub(super) fn net(images: &Images) -> Result<(Changes, Vec<(u32, String)>)> {
    let columns: Vec<usize> = (0..images.schema().fields().len()).collect();
    let mut refused = Vec::new();
    if images.append_only() && images.all_complete() {
        return Ok((Changes { rows: images.batches(), ..Changes::default() }, refused));
    }
    let keys = images.comparable(&columns)?;
    let mut by_row: HashMap<&[u8], usize, BuildHasherDefault<KeyHasher>> = HashMap::default();
    let mut counts: Vec<(u32, i64)> = Vec::new();
    let mut add = |n: u32, change: i64| {
        let next = counts.len();
        let slot = *by_row.entry(keys.row(n as usize).data()).or_insert(next);
        if slot == next {
            counts.push((n, 0));
        }
        counts[slot].1 += change;
    };
    let mut before = None;
    images.for_each(|n, op| {
        let usable = images.complete(n);
        let paired = before.take();
        match op {
            Op::Insert if usable => add(n, 1),
            Op::Delete if usable => add(n, -1),
            Op::UpdateBefore if usable => before = Some(n),
            Op::UpdateAfter if usable => match paired {
                Some(old) => {
                    add(old, -1);
                    add(n, 1);
                }
                None => refused.push((n, images.old_not_sent(n))),
            },
            Op::UpdateBefore => {}
            Op::Insert | Op::Delete | Op::UpdateAfter => {
                refused.push((n, images.not_sent(n, "its table has no key to find the stored row by")));
            }
        }
        Ok(())
    })?;
    let mut dead = Vec::new();
    let mut dead_counts = Vec::new();
    let mut rows = Vec::new();
    for (n, count) in counts {
        if count < 0 {
            dead.push(n);
            dead_counts.push(u32::try_from(-count).unwrap_or(u32::MAX));
        }
        rows.extend((0..count).map(|_| n));
    }
    let dead = if dead.is_empty() { None } else { Some(images.take(&columns, &dead)?) };
    let taken = if rows.is_empty() { Vec::new() } else { vec![images.take(&columns, &rows)?] };
    Ok((Changes { dead, dead_counts, rows: taken, origins: Some(rows), ..Changes::default() }, refused))
}
