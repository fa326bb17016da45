//! How fast a running flow's counters grow.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Rates are measured over this long.
const WINDOW: Duration = Duration::from_millis(500);

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
}
