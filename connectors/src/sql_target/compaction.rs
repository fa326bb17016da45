//! An epoch's changes reduced to one image per key: the last.
//!
//! Each key's changes fold into a [`Slot`]: gone, or an image. An image is one row, or, where the source left values
//! out, one row per column (the last that had it), with what is still missing read from the target. A changed key is
//! the old key gone and the new key's image over the old one, so chains and swaps come out right.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use aqueduct_model::{Op, Result};
use arrow::array::RecordBatch;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::images::Images;

/// What to do to a table: deletes first, then rows.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Rows to remove: the key columns in key order, or all columns for a table without a key.
    pub dead: Option<RecordBatch>,
    /// Without a key only: how many equal rows to remove for each row of `dead`.
    pub dead_counts: Vec<u32>,
    /// Whole rows to write, in all columns of the table.
    pub rows: Vec<RecordBatch>,
    /// The number in the sequence of images that each row ends with; `None`: the rows are the sequence itself.
    pub origins: Option<Vec<u32>>,
    /// Microseconds since 1970, UTC: when the changes are made, for modes that mark rows.
    pub moment: i64,
    /// Every row is an insert at the source: likely, not surely, none is in the target yet.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only PostgreSQL loads such rows another way"))]
    pub likely_new: bool,
}

impl Changes {
    /// The number of rows to write.
    pub fn row_count(&self) -> usize {
        self.rows.iter().map(RecordBatch::num_rows).sum()
    }

    /// The number in the sequence of images that a row came from.
    pub fn origin(&self, row: usize) -> u32 {
        self.origins.as_ref().map_or(row as u32, |origins| origins[row])
    }
}

/// No row of the sequence: the value is in the target, or nowhere.
pub(super) const MISSING: u32 = u32::MAX;

/// Where values come from that no change of the group has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// There are none: all values are known.
    Nothing,
    /// The target's row of the key of that row of the sequence. A value that was not sent is never NULL in silence: the
    /// row must be there.
    Stored { key_row: u32 },
}

/// The values of a row to be.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// The last row of the sequence that changed it.
    pub row: u32,
    /// Per column the row of the sequence that has its value, or [`MISSING`]; `None`: `row` has them all.
    pub picks: Option<Box<[u32]>>,
    pub base: Base,
}

/// What became of a key.
#[derive(Debug)]
pub(super) struct Slot {
    /// A row of the sequence with this key.
    pub key_row: u32,
    pub live: bool,
    /// What is known of the row; of a dead row only in soft deletion.
    pub image: Option<Image>,
}

/// The folded changes of a table with a key.
pub(super) struct Folded {
    /// One per key, in order of first sight.
    pub slots: Vec<Slot>,
    /// Rows of the sequence that cannot be used, and why.
    pub refused: Vec<(u32, String)>,
}

const DELETED_BEFORE: &str = "its row was deleted before";
const MAY_BE_DELETED: &str = "the target keeps deleted rows, whose values are not those of a new one";

/// Settings of a fold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FoldMode {
    /// Keep the image of a deleted row.
    pub keep_dead: bool,
    /// The planted bug `mutant.sink_compaction_keeps_first`.
    pub keep_first: bool,
}

/// Folds changes per key.
pub(super) fn fold(images: &Images, key: &[usize], mode: FoldMode) -> Result<Folded> {
    let keys = images.comparable(key)?;
    let mut fold = Fold {
        images,
        mode,
        all_complete: images.all_complete(),
        columns: images.schema().fields().len(),
        by_key: HashMap::with_capacity_and_hasher(images.len() as usize, BuildHasherDefault::default()),
        slots: Vec::with_capacity(images.len() as usize),
        refused: Vec::new(),
    };
    let all_keys_good = images.all_keys_good(key);
    let mut before: Option<u32> = None;
    images.for_each(|n, op| {
        if !all_keys_good && let Some(reason) = images.bad_key(n, key) {
            // An old image whose key was not sent has the key of its new image.
            if op != Op::UpdateBefore {
                fold.refused.push((n, reason));
            }
            before = None;
            return Ok(());
        }
        let bytes = keys.row(n as usize).data();
        match op {
            Op::Insert => fold.insert(n, bytes),
            Op::Delete => fold.delete(n, bytes),
            Op::UpdateBefore => before = Some(n),
            Op::UpdateAfter => match before.take() {
                Some(old) if keys.row(old as usize).data() != bytes => {
                    let old_bytes = keys.row(old as usize).data();
                    fold.change_key(old, old_bytes, n, bytes);
                }
                _ => fold.update(n, bytes),
            },
        }
        Ok(())
    })?;
    Ok(Folded { slots: fold.slots, refused: fold.refused })
}

struct Fold<'a, 'k> {
    images: &'a Images,
    mode: FoldMode,
    all_complete: bool,
    columns: usize,
    by_key: HashMap<&'k [u8], usize, BuildHasherDefault<KeyHasher>>,
    slots: Vec<Slot>,
    refused: Vec<(u32, String)>,
}

impl<'k> Fold<'_, 'k> {
    fn slot(&mut self, n: u32, key: &'k [u8]) -> (usize, bool) {
        let next = self.slots.len();
        let slot = *self.by_key.entry(key).or_insert(next);
        if slot == next {
            self.slots.push(Slot { key_row: n, live: true, image: None });
        }
        (slot, slot == next)
    }

    fn insert(&mut self, n: u32, key: &'k [u8]) {
        let (slot, new) = self.slot(n, key);
        let complete = self.all_complete || self.images.complete(n);
        if !complete && !self.slots[slot].live {
            return self.refuse(n, DELETED_BEFORE);
        }
        if !complete && new && self.mode.keep_dead {
            return self.refuse(n, MAY_BE_DELETED);
        }
        let under = if self.slots[slot].live { self.slots[slot].image.clone() } else { None };
        self.set(slot, new, self.over(n, under.as_ref(), Base::Stored { key_row: n }));
    }

    fn update(&mut self, n: u32, key: &'k [u8]) {
        let (slot, new) = self.slot(n, key);
        let complete = self.all_complete || self.images.complete(n);
        if !complete && !new && !self.slots[slot].live {
            return self.refuse(n, DELETED_BEFORE);
        }
        let base = Base::Stored { key_row: n };
        let image = self.over(n, self.slots[slot].image.as_ref(), base);
        self.set(slot, new, image);
    }

    fn delete(&mut self, n: u32, key: &'k [u8]) {
        let (slot, _) = self.slot(n, key);
        let slot = &mut self.slots[slot];
        slot.live = false;
        if !self.mode.keep_dead {
            slot.image = None;
        }
    }

    fn change_key(&mut self, old: u32, old_key: &'k [u8], n: u32, key: &'k [u8]) {
        let (from, from_new) = self.slot(old, old_key);
        let complete = self.all_complete || self.images.complete(n);
        if !complete && !from_new && !self.slots[from].live {
            return self.refuse(n, DELETED_BEFORE);
        }
        let under = self.slots[from].image.clone().filter(|_| self.slots[from].live);
        let base = if from_new { Base::Stored { key_row: old } } else { Base::Nothing };
        let image = self.over(n, under.as_ref(), base);
        self.delete(old, old_key);
        let (to, new) = self.slot(n, key);
        self.set(to, new, image);
    }

    /// Row `n` laid over what was there before it.
    fn over(&self, n: u32, under: Option<&Image>, base: Base) -> Image {
        if self.all_complete || self.images.complete(n) {
            return Image { row: n, picks: None, base: Base::Nothing };
        }
        let picks: Box<[u32]> = (0..self.columns)
            .map(|column| match under {
                _ if self.images.present(n, column) => n,
                None => MISSING,
                Some(Image { picks: Some(picks), .. }) => picks[column],
                Some(Image { row, .. }) => *row,
            })
            .collect();
        Image { row: n, picks: Some(picks), base: under.map_or(base, |under| under.base) }
    }

    fn refuse(&mut self, n: u32, why: &str) {
        self.refused.push((n, self.images.not_sent(n, why)));
    }

    fn set(&mut self, slot: usize, new: bool, image: Image) {
        let slot = &mut self.slots[slot];
        if self.mode.keep_first && !new {
            return;
        }
        slot.live = true;
        slot.image = Some(image);
    }
}

/// xxh3 of the key's bytes: keys are hashed once per row, and std's SipHash is what would show in a profile.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, length: usize) {
        // The length that a slice hashes before its bytes.
        self.0 ^= length as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
