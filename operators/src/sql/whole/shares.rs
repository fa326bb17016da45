//! The memory of a query in equal shares: what takes part in it can neither starve the others nor be starved.
//!
//! The pools that DataFusion has let the first sort that puts its files together take all that is left, and the second
//! one of a merge join fails.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;

/// See the module.
#[derive(Debug)]
pub(super) struct Shares {
    bytes: usize,
    /// Into how many shares the memory is cut.
    parts: AtomicUsize,
    /// By the consumer's number.
    used: Mutex<HashMap<usize, usize>>,
}

impl Shares {
    /// One share of so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        Self { bytes, parts: AtomicUsize::new(1), used: Mutex::new(HashMap::new()) }
    }

    /// A share for whatever in a plan takes memory. A sort needs two: one for the rows that it gathers, one to put its files
    /// together.
    pub(super) fn cut_for(&self, plan: &dyn ExecutionPlan) {
        self.parts.store(takers(plan).max(1), Ordering::Relaxed);
    }

    fn share(&self) -> usize {
        self.bytes / self.parts.load(Ordering::Relaxed)
    }

    fn change<T>(&self, reservation: &MemoryReservation, change: impl FnOnce(&mut usize) -> T) -> T {
        // Numbers only: they are whole even where another thread panicked.
        let mut used = self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(used.entry(reservation.consumer().id()).or_default())
    }
}

fn takers(plan: &dyn ExecutionPlan) -> usize {
    let own = match plan.name() {
        _ if plan.downcast_ref::<SortExec>().is_some() => 2,
        name => usize::from(["Aggregate", "Join", "Window"].iter().any(|word| name.contains(word))),
    };
    own + plan.children().into_iter().map(|child| takers(child.as_ref())).sum::<usize>()
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes each", self.share())
    }
}

impl MemoryPool for Shares {
    fn name(&self) -> &str {
        "shares"
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&consumer.id());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.change(reservation, |used| *used += additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.change(reservation, |used| *used = used.saturating_sub(shrink));
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<(), DataFusionError> {
        let share = self.share();
        let fits = self.change(reservation, |used| {
            let fits = *used + additional <= share;
            *used += if fits { additional } else { 0 };
            fits
        });
        if fits {
            return Ok(());
        }
        let name = reservation.consumer().name();
        Err(DataFusionError::ResourcesExhausted(format!("{name} needs more than its share of {share} bytes")))
    }

    fn reserved(&self) -> usize {
        self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner).values().sum()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}
