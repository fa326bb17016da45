//! The chunks between the ones that were handed out and the ones that nobody has begun to read, in the order in which
//! they will be handed out.

use std::collections::VecDeque;
use std::time::Duration;

use aqueduct_model::{Batch, RelationName, Result};
use arrow::array::RecordBatch;

use super::journal::Draft;
use super::{Key, KeyRange, Seen, Shown, System};

/// The stream's rows that are kept for one chunk; beyond it, the chunk is read again instead.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// What is known of a chunk.
pub(super) struct Chunk<S: System> {
    /// Its number in this run.
    pub(super) number: u64,
    pub(super) table: RelationName,
    pub(super) range: KeyRange,
    pub(super) stage: Stage<S>,
    /// How often it was tried in vain.
    pub(super) failures: u32,
    /// Keys of rows that the stream gave since it was begun, where its rows come as updates.
    pub(super) covered: Vec<RecordBatch>,
    kept_bytes: usize,
}

/// How far a chunk has come.
pub(super) enum Stage<S: System> {
    /// It is to be read, once the stream has come to `until`.
    Waiting { until: Option<S::Mark>, delay: Duration },
    /// A reader is at it; what the stream gave of its rows meanwhile.
    Reading(Vec<(S::Transaction, Batch)>),
    /// It is read; the changes that it does not show.
    Read { seen: Seen<S::Mark, S::Sight>, draft: Draft, behind: Vec<Batch> },
}

impl<S: System> Chunk<S> {
    /// A chunk that nobody has begun.
    pub(super) fn new(number: u64, table: RelationName, range: KeyRange) -> Self {
        let stage = Stage::Waiting { until: None, delay: Duration::ZERO };
        Self { number, table, range, stage, failures: 0, covered: Vec::new(), kept_bytes: 0 }
    }

    /// Has it read anew, from the next boundary on; what was kept is shown then.
    pub(super) fn restart(&mut self, number: u64, until: Option<S::Mark>, delay: Duration) -> Option<Draft> {
        self.number = number;
        (self.covered, self.kept_bytes) = (Vec::new(), 0);
        match std::mem::replace(&mut self.stage, Stage::Waiting { until, delay }) {
            Stage::Read { draft, .. } => Some(draft),
            _ => None,
        }
    }

    /// Takes a streamed change of its rows. False when the chunk has to be read again.
    pub(super) fn judge(&mut self, system: &S, transaction: &S::Transaction, rows: Batch) -> bool {
        match &mut self.stage {
            Stage::Waiting { .. } => true,
            Stage::Reading(touched) => {
                self.kept_bytes += rows.memory_bytes();
                touched.push((transaction.clone(), rows));
                self.kept_bytes <= KEPT_BYTES_MAX
            }
            Stage::Read { seen, behind, .. } => match system.shown(&seen.sight, transaction) {
                Shown::Yes => true,
                Shown::No => {
                    self.kept_bytes += rows.memory_bytes();
                    behind.push(rows);
                    self.kept_bytes <= KEPT_BYTES_MAX
                }
                Shown::Unknown => false,
            },
        }
    }

    /// Leaves rows of these keys out. False when the chunk has to be read again.
    pub(super) fn cover(&mut self, keys: RecordBatch) -> bool {
        if matches!(self.stage, Stage::Waiting { .. }) {
            return true;
        }
        self.kept_bytes += keys.get_array_memory_size();
        self.covered.push(keys);
        self.kept_bytes <= KEPT_BYTES_MAX
    }

    /// Takes what a reader read. False when it has to be read again.
    pub(super) fn is_read(&mut self, system: &S, seen: Seen<S::Mark, S::Sight>, draft: Draft) -> bool {
        let read = Stage::Read { seen, draft, behind: Vec::new() };
        let Stage::Reading(touched) = std::mem::replace(&mut self.stage, read) else { return true };
        self.kept_bytes = 0;
        touched.into_iter().all(|(transaction, rows)| self.judge(system, &transaction, rows))
    }
}

/// The chunks.
pub(super) struct Chunks<S: System> {
    pub(super) queue: VecDeque<Chunk<S>>,
    next_number: u64,
}

impl<S: System> Chunks<S> {
    pub(super) fn new() -> Self {
        Self { queue: VecDeque::new(), next_number: 0 }
    }

    /// A number that no chunk had before.
    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// The chunk of that number, unless it was given up.
    pub(super) fn find(&mut self, number: u64) -> Option<&mut Chunk<S>> {
        self.queue.iter_mut().find(|chunk| chunk.number == number)
    }

    /// The chunks of one table.
    pub(super) fn of<'a>(&'a self, table: &'a RelationName) -> impl Iterator<Item = &'a Chunk<S>> {
        self.queue.iter().filter(move |chunk| chunk.table == *table)
    }

    /// How many are being read, or are read and not handed out.
    pub(super) fn in_hand(&self) -> usize {
        self.queue.iter().filter(|chunk| !matches!(chunk.stage, Stage::Waiting { .. })).count()
    }

    /// Gives up the chunks of one table.
    pub(super) fn give_up(&mut self, table: &RelationName) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let all = std::mem::take(&mut self.queue);
        for chunk in all {
            if chunk.table != *table {
                self.queue.push_back(chunk);
            } else if let Stage::Read { draft, .. } = chunk.stage {
                drafts.push(draft);
            }
        }
        drafts
    }

    /// The `index`th chunk of a table takes streamed rows.
    pub(super) fn nth_of(&mut self, table: &RelationName, index: usize) -> Option<&mut Chunk<S>> {
        self.queue.iter_mut().filter(|chunk| chunk.table == *table).nth(index)
    }
}

/// The edges between the regions of a table that is being read: behind what was handed out, behind each chunk.
///
/// A chunk without an upper edge has none behind it: nothing lies there.
pub(super) fn edges<'a, S: System>(
    after: Option<&'a Key>,
    chunks: impl Iterator<Item = &'a Chunk<S>>,
) -> Result<Vec<&'a Key>> {
    let mut edges: Vec<&Key> = after.into_iter().collect();
    edges.extend(chunks.filter_map(|chunk| chunk.range.up_to.as_ref()));
    Ok(edges)
}
