//! A token bucket: so many rows per second, and no burst to make up for a pause.

use std::time::Duration;

use tokio::time::Instant;

/// The bucket holds what this long earns: enough for smooth batches, too little for a burst that people notice.
const BUCKET_SECONDS: f64 = 0.1;
/// The shortest sleep: timers are not finer.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// Hands out rows at a steady rate.
#[derive(Debug)]
pub(super) struct TokenBucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A bucket that fills with `rate` rows per second, with one row in it.
    pub(super) fn new(rate: f64, now: Instant) -> Self {
        Self { rate, tokens: 1.0, filled: now }
    }

    /// Takes up to `wanted` rows; waits for the first one, but no longer than `max_wait`. 0 when none came in time.
    pub(super) async fn take(&mut self, wanted: u64, max_wait: Duration) -> u64 {
        let taken = self.take_at(Instant::now(), wanted);
        if taken > 0 {
            return taken;
        }
        tokio::time::sleep(self.until_next().min(max_wait)).await;
        self.take_at(Instant::now(), wanted)
    }

    /// Puts back what was taken and not used.
    pub(super) fn give_back(&mut self, rows: usize) {
        self.tokens += rows as f64;
    }

    fn take_at(&mut self, now: Instant, wanted: u64) -> u64 {
        let earned = (now - self.filled).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + earned).min((self.rate * BUCKET_SECONDS).max(1.0));
        self.filled = now;
        let taken = (self.tokens as u64).min(wanted);
        self.tokens -= taken as f64;
        taken
    }

    fn until_next(&self) -> Duration {
        Duration::try_from_secs_f64((1.0 - self.tokens) / self.rate).unwrap_or(Duration::MAX).max(SLEEP_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_a_pause_is_not_made_up_for() {
        for rate in [0.5, 3.0, 1_000.0, 250_000.0] {
            let start = Instant::now();
            let mut bucket = TokenBucket::new(rate, start);
            let (mut now, mut taken) = (start, 0);
            while taken < 10 * rate as u64 + 10 {
                match bucket.take_at(now, 8_192) {
                    0 => now += bucket.until_next(),
                    rows => taken += rows,
                }
            }
            let expected = Duration::from_secs_f64(taken as f64 / rate);
            let ran = now - start;
            assert!(ran >= expected.mul_f64(0.9) - Duration::from_secs_f64(1.0 / rate), "{rate}: {ran:?} {expected:?}");
            assert!(ran <= expected.mul_f64(1.1) + SLEEP_MIN, "{rate}: {ran:?} {expected:?}");
            let after_a_pause = bucket.take_at(now + Duration::from_secs(3_600), u64::MAX);
            assert!(after_a_pause <= (rate * BUCKET_SECONDS).max(1.0) as u64);
        }
    }
}
