//! What a task's rules found: counted by its operator, read by status and metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The counters of a task's rules. Clones share them, and they outlive the operator: a restarted one counts on.
///
/// ```
/// use aqueduct_model::RuleCounts;
/// let counts = RuleCounts::default();
/// let adult = counts.of("adult");
/// adult.add(10, 3);
/// counts.of("adult").add(1, 0);
/// assert_eq!((counts.read()[0].checked, counts.read()[0].broken), (11, 3));
/// ```
#[derive(Debug, Clone, Default)]
pub struct RuleCounts(Arc<Mutex<Vec<Arc<RuleCounter>>>>);

/// The counter of one rule.
#[derive(Debug)]
pub struct RuleCounter {
    rule: String,
    checked: AtomicU64,
    broken: AtomicU64,
}

/// A reading of a [`RuleCounter`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// The rule's name, unique in its task.
    pub rule: String,
    /// New rows that were looked at.
    pub checked: u64,
    /// Those of them that broke the rule.
    pub broken: u64,
}

impl RuleCounts {
    /// The counter of a rule, which is there from now on. Rules are read in the order in which they were asked for.
    pub fn of(&self, rule: &str) -> Arc<RuleCounter> {
        // Taken when an operator opens and when somebody looks, never per batch.
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counters.iter().find(|counter| counter.rule == rule) {
            return known.clone();
        }
        let counter =
            Arc::new(RuleCounter { rule: rule.to_owned(), checked: AtomicU64::new(0), broken: AtomicU64::new(0) });
        counters.push(counter.clone());
        counter
    }

    /// All counters now.
    pub fn read(&self) -> Vec<RuleCount> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |counter: &Arc<RuleCounter>| RuleCount {
            rule: counter.rule.clone(),
            checked: counter.checked.load(Ordering::Relaxed),
            broken: counter.broken.load(Ordering::Relaxed),
        };
        counters.iter().map(read).collect()
    }
}

impl RuleCounter {
    /// Counts new rows that were looked at, and those of them that broke the rule.
    pub fn add(&self, checked: u64, broken: u64) {
        self.checked.fetch_add(checked, Ordering::Relaxed);
        self.broken.fetch_add(broken, Ordering::Relaxed);
    }
}
