//! Tells people how far a snapshot has come.

use std::time::{Duration, Instant};

use aqueduct_model::RelationName;

/// How often a line is written at most.
const INTERVAL: Duration = Duration::from_secs(5);

/// Rows read and expected, since this run began.
pub(super) struct Progress {
    begun: Instant,
    told: Instant,
    rows: u64,
    /// About how many rows the tables that are being read have.
    pub(super) expected: u64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), told: Instant::now(), rows: 0, expected: 0 }
    }

    /// Rows of a chunk are ready to be handed out.
    pub(super) fn add(&mut self, table: &RelationName, rows: u64) {
        self.rows += rows;
        if self.told.elapsed() < INTERVAL {
            return;
        }
        self.told = Instant::now();
        let seconds = self.begun.elapsed().as_secs_f64();
        let rate = self.rows as f64 / seconds.max(0.001);
        let left = self.expected.saturating_sub(self.rows) as f64;
        let eta_s = if self.expected > 0 && rate > 0.0 { Some((left / rate).round() as u64) } else { None };
        tracing::info!(%table, rows = self.rows, expected = self.expected, per_second = rate as u64, eta_s, "snapshot");
    }
}
