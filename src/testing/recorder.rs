//! What passed the edges of a run, rolled back with it: only what belongs to epochs that were committed is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aqueduct_model::{BadRow, Batch, Epoch, Error, ErrorKind, Result, SchemaChange};

/// More rows than this are not held.
const ROWS_MAX: usize = 2_000_000;

/// A place of a flow that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// What a task received, on any input.
    Input,
    /// What it sent on an output port.
    Output(usize),
}

/// What was seen there.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Rows(Batch),
    Schema(SchemaChange),
    /// The task refused a row.
    Refused(BadRow),
}

struct Entry {
    place: Place,
    seen: Seen,
    /// Known once the task has passed the barrier.
    epoch: Option<Epoch>,
}

/// Shared by all taps of a run, over its restarts.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    by_task: BTreeMap<String, Vec<Entry>>,
    rows: usize,
}

impl Recorder {
    fn records(&self) -> MutexGuard<'_, Records> {
        // Entries are pushed whole; a task that panicked leaves nothing half done.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Notes what was seen.
    ///
    /// # Errors
    /// `Config` when it is too much to be held in memory.
    pub(crate) fn note(&self, task: &str, place: Place, seen: Seen) -> Result<()> {
        let mut records = self.records();
        if let Seen::Rows(batch) = &seen {
            records.rows += batch.num_rows();
        }
        if records.rows > ROWS_MAX {
            return Err(Error::new(ErrorKind::Config, format!("more than {ROWS_MAX} rows would have to be held"))
                .with_hint("give fewer rows: everything is held in memory here"));
        }
        let entry = Entry { place, seen, epoch: None };
        match records.by_task.get_mut(task) {
            Some(entries) => entries.push(entry),
            None => {
                records.by_task.insert(task.to_owned(), vec![entry]);
            }
        }
        Ok(())
    }

    /// The task has passed the barrier: what was noted before belongs to the epoch.
    pub(crate) fn seal(&self, task: &str, epoch: Epoch) {
        let mut records = self.records();
        for entry in records.by_task.get_mut(task).into_iter().flatten().filter(|entry| entry.epoch.is_none()) {
            entry.epoch = Some(epoch);
        }
    }

    /// The flow goes on from this epoch: forgets what came behind it.
    pub(crate) fn roll_back(&self, base: Epoch) {
        let mut records = self.records();
        for entries in records.by_task.values_mut() {
            entries.retain(|entry| entry.epoch.is_some_and(|epoch| epoch <= base));
        }
    }

    /// What was seen at a place, in order.
    pub(crate) fn at(&self, task: &str, place: Place) -> Vec<Seen> {
        self.of_task(task, |at| at == place)
    }

    /// The rows that a task refused, in order.
    pub(crate) fn refused(&self, task: &str) -> Vec<BadRow> {
        let refused = |seen| match seen {
            Seen::Refused(row) => Some(row),
            _ => None,
        };
        self.of_task(task, |_| true).into_iter().filter_map(refused).collect()
    }

    /// How many rows were seen at a place.
    pub(crate) fn rows_at(&self, task: &str, place: Place) -> usize {
        let rows = |seen: &Seen| if let Seen::Rows(batch) = seen { batch.num_rows() } else { 0 };
        self.at(task, place).iter().map(rows).sum()
    }

    fn of_task(&self, task: &str, wanted: impl Fn(Place) -> bool) -> Vec<Seen> {
        let records = self.records();
        let entries = records.by_task.get(task).into_iter().flatten();
        entries.filter(|entry| wanted(entry.place)).map(|entry| entry.seen.clone()).collect()
    }
}
