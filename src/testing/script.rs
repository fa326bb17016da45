//! What happens in a test, put together before it runs, and where its sources stand in it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aqueduct_model::{Batch, SchemaChange};
use tokio::sync::watch;

/// What one source gives at one step.
#[derive(Debug, Clone)]
pub(super) enum Gift {
    Batch(Batch),
    Schema(SchemaChange),
}

/// What a step of a test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Rows or DDL of some source.
    Gift,
    /// Every source waits here until the epoch is committed.
    Checkpoint,
    /// The generation is torn down, once.
    Restart,
}

/// All steps of a test.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// By source task and step.
    pub(super) gifts: BTreeMap<String, BTreeMap<usize, Gift>>,
}

impl Script {
    /// A checkpoint before which nothing happened would never come: nothing is asked of it.
    pub(super) fn without_empty_checkpoints(mut self) -> Self {
        let mut happened = false;
        for step in &mut self.steps {
            match step {
                Step::Gift => happened = true,
                Step::Checkpoint if !happened => *step = Step::Gift,
                Step::Checkpoint => happened = false,
                Step::Restart => {}
            }
        }
        self
    }
}

/// Where the sources of a run stand: what has to outlive their restarts.
#[derive(Debug)]
pub(super) struct Stage {
    sources: usize,
    /// Restarts that were done: those at earlier steps than this.
    restarted_before: Mutex<usize>,
    /// How many sources have come to which restart.
    arrived: watch::Sender<(usize, usize)>,
}

impl Stage {
    pub(super) fn new(sources: usize) -> Self {
        Self { sources, restarted_before: Mutex::new(0), arrived: watch::Sender::new((0, 0)) }
    }

    /// Whether the restart at this step is still to be done.
    pub(super) fn is_ahead(&self, step: usize) -> bool {
        step >= *self.restarted_before.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A source has come to a restart; true for the last one of all, which does it.
    pub(super) fn arrive(&self, step: usize) -> bool {
        let mut count = 0;
        self.arrived.send_modify(|(at, arrived)| {
            if *at != step {
                (*at, *arrived) = (step, 0);
            }
            *arrived += 1;
            count = *arrived;
        });
        let is_last = count == self.sources;
        if is_last {
            *self.restarted_before.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = step + 1;
        }
        is_last
    }
}
