//! When a request may go out: evenly spread under a rate, and later after a failure.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::settings::RetryConfig;

/// Gives out moments that are at least one interval apart. The first one is an interval away, too: somebody may have asked
/// just before, as the same task did for another row, or before it was started again.
pub(super) struct Pace {
    interval: Duration,
    /// A std Mutex: it is held for a few instructions, never while anything is awaited.
    next: Mutex<Instant>,
}

impl Pace {
    /// Without a rate, every moment is right.
    pub(super) fn new(requests_per_second: Option<f64>) -> Self {
        let interval = requests_per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self { interval, next: Mutex::new(Instant::now() + interval) }
    }

    /// Waits for the next free moment.
    pub(super) async fn turn(&self) {
        if self.interval.is_zero() {
            return;
        }
        sleep_until(self.take(Instant::now())).await;
    }

    /// Takes the next free moment.
    fn take(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = now.max(*next);
        *next = mine + self.interval;
        mine
    }
}

/// How long to wait before attempt `attempt + 1`, the first attempt being 1; half of it is random, so that many clients
/// do not come back together.
pub(super) fn backoff(config: &RetryConfig, attempt: u32) -> Duration {
    let doubled = config.wait.0.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(config.max_wait.0);
    // A fresh state is seeded at random by the standard library.
    let random = RandomState::new().build_hasher().finish() % 1_000;
    doubled / 2 + doubled.mul_f64(random as f64 / 2_000.0)
}

/// What `Retry-After` asks for (RFC 9110, section 10.2.3): seconds, or a date.
pub(super) fn retry_after(value: &str, now: chrono::DateTime<chrono::Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    Some((at.to_utc() - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_an_interval_apart_from_the_first_one_on() {
        let (before, pace) = (Instant::now(), Pace::new(Some(4.0)));
        let first = pace.take(before);
        assert!(first >= before + Duration::from_millis(250));
        for (asked_ms, given_ms) in [(0, 250), (600, 600), (600, 850), (700, 1_100), (2_000, 2_000)] {
            let given = pace.take(first + Duration::from_millis(asked_ms));
            assert_eq!(given, first + Duration::from_millis(given_ms));
        }
    }

    #[test]
    fn waits_double_up_to_their_limit() {
        let config = RetryConfig::default();
        for (attempt, whole_ms) in [(1, 200), (2, 400), (5, 3_200), (9, 51_200), (10, 60_000), (400, 60_000)] {
            let wait = backoff(&config, attempt).as_millis() as u64;
            assert!((whole_ms / 2..=whole_ms).contains(&wait), "{attempt}: {wait}");
        }
    }

    #[test]
    fn a_service_says_when_to_come_back() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Fri, 02 Jan 2026 03:05:05 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Fri, 02 Jan 2026 03:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
