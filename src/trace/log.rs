//! What happened to the row, in order, and which batches are its own.

use std::sync::{Arc, Mutex, MutexGuard};

use aqueduct_model::{BadRow, Batch, Epoch, Position};
use arrow::array::ArrayRef;

/// Longer ways are cut.
const EVENTS_MAX: usize = 10_000;

/// Something that happened to the row.
pub(super) enum Event {
    /// A source read it; the position is where the source stood behind the batch.
    Read { task: String, batch: Batch, position: Option<Position> },
    /// A task was given it.
    Received { task: String, batch: Batch },
    /// A task gave this because of it, or, later, something with its key.
    Gave { task: String, port: usize, batch: Batch, later: bool },
    /// A task refused it.
    Refused { task: String, row: BadRow },
    /// A target was given it.
    Wrote { task: String, batch: Batch, number: usize },
    /// A target's epoch ended.
    Flushed { task: String, epoch: Epoch },
}

/// Shared by everything that a trace puts on a flow.
#[derive(Clone, Default)]
pub(crate) struct TraceLog(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    events: Vec<Event>,
    /// The first columns of the row's own batches: a column is the same value only as long as it is the same allocation,
    /// and it is held here, so that no other batch can get its address.
    own: Vec<ArrayRef>,
}

impl TraceLog {
    fn log(&self) -> MutexGuard<'_, Log> {
        // Events are pushed whole; a task that panicked leaves nothing half done.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn note(&self, event: Event) {
        let mut log = self.log();
        if log.events.len() < EVENTS_MAX {
            log.events.push(event);
        }
    }

    /// Remembers that a batch is the row's.
    pub(super) fn own(&self, batch: &Batch) {
        if let Some(column) = batch.rows().columns().first() {
            self.log().own.push(column.clone());
        }
    }

    /// Whether a batch is the row's.
    pub(super) fn is_own(&self, batch: &Batch) -> bool {
        let column = batch.rows().columns().first();
        column.is_some_and(|column| self.log().own.iter().any(|own| Arc::ptr_eq(own, column)))
    }

    pub(super) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.log().events)
    }
}
