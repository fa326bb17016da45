//! What each task has done and is doing: written by the task, read by status, metrics and the stuck-task watch.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aqueduct_model::{RuleCount, RuleCounts};
use serde::Serialize;

/// What a task is doing right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Activity {
    /// Opening, or waiting to be started.
    Starting = 0,
    /// Waiting for rows.
    Idle = 1,
    /// Inside the plugin.
    Working = 2,
    /// Waiting for credit downstream.
    Backpressure = 3,
    /// Has returned.
    Ended = 4,
}

/// Counters of one task, over all restarts of a daemon's life.
#[derive(Debug, Default)]
pub struct Progress {
    rows_in: AtomicU64,
    rows_out: AtomicU64,
    bytes_in: AtomicU64,
    bad_rows: AtomicU64,
    batches_in: AtomicU64,
    /// Batches and schema changes of a source: rises when there is something to checkpoint.
    changes: AtomicU64,
    lag_ms: AtomicI64,
    activity: AtomicU8,
    active_since_ms: AtomicU64,
    rules: RuleCounts,
}

/// A reading of [`Progress`].
#[derive(Debug, Clone, Default, Serialize)]
pub struct TaskCounters {
    /// Rows received.
    pub rows_in: u64,
    /// Rows sent on (for a source: read).
    pub rows_out: u64,
    /// Bytes received (for a source: read).
    pub bytes: u64,
    /// Rows refused.
    pub bad_rows: u64,
    /// Batches received (for a source: read).
    pub batches: u64,
    /// Age of the newest row when it arrived here, in milliseconds.
    pub lag_ms: i64,
    /// What its rules found, where it has such.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleCount>,
}

impl Progress {
    /// Counts a batch that came in (for a source: was read).
    pub(crate) fn batch_in(&self, rows: usize, bytes: usize, ingested_at_ms: i64) {
        self.rows_in.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        self.batches_in.fetch_add(1, Ordering::Relaxed);
        self.lag_ms.store(now_ms() as i64 - ingested_at_ms, Ordering::Relaxed);
    }

    pub(crate) fn rows_out(&self, rows: usize) {
        self.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn bad_rows(&self, rows: usize) {
        self.bad_rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// The counters of its rules.
    pub(crate) fn rules(&self) -> &RuleCounts {
        &self.rules
    }

    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    pub(crate) fn doing(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Relaxed);
        self.active_since_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// What the task is doing, and for how long.
    pub fn activity(&self) -> (Activity, Duration) {
        let activity = match self.activity.load(Ordering::Relaxed) {
            1 => Activity::Idle,
            2 => Activity::Working,
            3 => Activity::Backpressure,
            4 => Activity::Ended,
            _ => Activity::Starting,
        };
        let since = now_ms().saturating_sub(self.active_since_ms.load(Ordering::Relaxed));
        (activity, Duration::from_millis(since))
    }

    /// The counters now.
    pub fn counters(&self) -> TaskCounters {
        TaskCounters {
            rows_in: self.rows_in.load(Ordering::Relaxed),
            rows_out: self.rows_out.load(Ordering::Relaxed),
            bytes: self.bytes_in.load(Ordering::Relaxed),
            bad_rows: self.bad_rows.load(Ordering::Relaxed),
            batches: self.batches_in.load(Ordering::Relaxed),
            lag_ms: self.lag_ms.load(Ordering::Relaxed),
            rules: self.rules.read(),
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
