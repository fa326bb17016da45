//! What a running flow shows of itself, and how fast that grows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Rates are measured over this long.
const WINDOW: Duration = Duration::from_millis(500);

/// A flow's status, as far as the demo shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Running, with everything open.
    pub(super) running: bool,
    /// The state's public name.
    pub(super) state: String,
    /// What happened, where the flow has failed.
    pub(super) message: Option<String>,
    /// Rows that the sources have read in this life of the daemon.
    pub(super) rows: u64,
    /// Rows that the sinks have written in this life.
    pub(super) written: u64,
    /// Age of the newest row that reached a sink; the greatest over the sinks.
    pub(super) lag_ms: i64,
    /// The last committed epoch.
    pub(super) epoch: u64,
    /// Epochs committed in this life.
    pub(super) epochs: u64,
}

impl Reading {
    /// Reads the answer to a status request; what is missing counts as nothing.
    pub(super) fn of(status: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let mut reading = Self {
            running: status["state"] == "running",
            state: text(&status["state"]).unwrap_or_default(),
            message: text(&status["message"]),
            epoch: number(&status["checkpoint"]["epoch"]),
            epochs: number(&status["checkpoint"]["epochs"]),
            ..Self::default()
        };
        for task in status["tasks"].as_array().into_iter().flatten() {
            match task["kind"].as_str().map(str::to_lowercase).as_deref() {
                Some("source") => reading.rows += number(&task["rows_in"]),
                Some("sink") => {
                    reading.written += number(&task["rows_out"]);
                    reading.lag_ms = reading.lag_ms.max(task["lag_ms"].as_i64().unwrap_or_default());
                }
                _ => {}
            }
        }
        reading
    }
}

/// Rows per second over the last half second.
#[derive(Debug, Default)]
pub(super) struct Meter {
    seen: VecDeque<(Instant, u64)>,
    fastest: f64,
}

impl Meter {
    /// Takes a reading of a counter and returns its rate.
    pub(super) fn rate(&mut self, now: Instant, rows: u64) -> f64 {
        while self.seen.len() > 1 && self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.seen.pop_front();
        }
        self.seen.push_back((now, rows));
        let (since, before) = self.seen[0];
        let elapsed = now.duration_since(since);
        if elapsed < WINDOW {
            return 0.0;
        }
        let rate = rows.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        self.fastest = self.fastest.max(rate);
        rate
    }

    /// Forgets the counter, because its process is gone; not the fastest rate.
    pub(super) fn restart(&mut self) {
        self.seen.clear();
    }

    pub(super) fn fastest(&self) -> f64 {
        self.fastest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_half_second() {
        let mut meter = Meter::default();
        let start = Instant::now();
        let rates: Vec<f64> = [(0, 0), (250, 500), (500, 1_000), (1_000, 1_000), (1_500, 1_000)]
            .map(|(ms, rows)| meter.rate(start + Duration::from_millis(ms), rows))
            .to_vec();
        assert_eq!(rates, [0.0, 0.0, 2_000.0, 0.0, 0.0]);
        assert_eq!(meter.fastest(), 2_000.0);
    }

    #[test]
    fn a_status_is_read_as_the_control_socket_gives_it() {
        let status = serde_json::json!({
            "state": "running",
            "checkpoint": { "epoch": 7, "epochs": 2 },
            "tasks": [
                { "kind": "source", "rows_in": 10, "rows_out": 10, "lag_ms": 0 },
                { "kind": "sink", "rows_in": 9, "rows_out": 8, "lag_ms": 30 },
            ],
        });
        let reading = Reading::of(&status);
        assert!(reading.running);
        assert_eq!((reading.rows, reading.written, reading.lag_ms, reading.epoch, reading.epochs), (10, 8, 30, 7, 2));
    }
}
