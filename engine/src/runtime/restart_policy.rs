//! When to restart a flow, after how long, and when to give up. Pure: time and chance come from outside.

use std::collections::VecDeque;
use std::time::Duration;

use aqueduct_model::{Directive, Error};
use tokio::time::Instant;

use crate::plan::{RestartSettings, RetrySettings};

/// What brought a generation down.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A task or the coordinator returned an error.
    Error(Error),
    /// A task panicked.
    Panic {
        /// The task.
        task: String,
        /// What it said.
        message: String,
    },
}

impl Failure {
    fn may_retry(&self) -> bool {
        match self {
            // A fresh value may do better, and restart intensity bounds how often that is tried.
            Self::Panic { .. } => true,
            Self::Error(error) => error.kind().directive() == Directive::Retry,
        }
    }

    /// The task at fault, where known.
    pub(crate) fn task(&self) -> Option<&str> {
        match self {
            Self::Error(error) => error.task(),
            Self::Panic { task, .. } => Some(task),
        }
    }
}

/// What to do about a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Restart after this wait; the how-many-th in the window.
    Restart { after: Duration, attempt: u32 },
    /// Fail the flow; says why, where it is not the failure itself.
    GiveUp { exhausted: bool },
}

/// Counts restarts of one flow.
#[derive(Debug)]
pub(crate) struct RestartPolicy {
    settings: RestartSettings,
    restarts: VecDeque<Instant>,
    /// Failures in a row without a committed epoch between them.
    in_a_row: u32,
}

/// Waits differ by up to this part, so that flows that failed together do not come back together.
const JITTER: f64 = 0.2;

impl RestartPolicy {
    pub(crate) fn new(settings: RestartSettings) -> Self {
        Self { settings, restarts: VecDeque::new(), in_a_row: 0 }
    }

    /// Decides. `retry` is the failed task's own bound; `chance` is in `0.0..1.0`.
    pub(crate) fn decide(
        &mut self,
        failure: &Failure,
        retry: Option<RetrySettings>,
        committed_since: bool,
        now: Instant,
        chance: f64,
    ) -> Decision {
        if !failure.may_retry() {
            return Decision::GiveUp { exhausted: false };
        }
        self.in_a_row = if committed_since { 1 } else { self.in_a_row + 1 };
        while self.restarts.front().is_some_and(|&at| now.duration_since(at) > self.settings.window) {
            self.restarts.pop_front();
        }
        let (attempt, max, delay) = match retry {
            Some(retry) => (self.in_a_row, retry.max, retry.delay),
            None => (self.restarts.len() as u32 + 1, self.settings.max, self.settings.delay),
        };
        if attempt > max {
            return Decision::GiveUp { exhausted: true };
        }
        self.restarts.push_back(now);
        let doubled = delay.saturating_mul(1 << (attempt - 1).min(20));
        let wait = doubled.min(self.settings.delay_max).mul_f64(1.0 - JITTER + 2.0 * JITTER * chance);
        Decision::Restart { after: wait, attempt }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aqueduct_model::ErrorKind;

    fn failure(kind: ErrorKind) -> Failure {
        Failure::Error(Error::new(kind, "x"))
    }

    fn waits(policy: &mut RestartPolicy, count: usize, step: Duration, retry: Option<RetrySettings>) -> Vec<Decision> {
        let start = Instant::now();
        (0..count as u32)
            .map(|i| policy.decide(&failure(ErrorKind::Unavailable), retry, false, start + step * i, 0.5))
            .collect()
    }

    #[tokio::test]
    async fn five_restarts_in_a_minute_then_the_flow_fails() {
        let mut policy = RestartPolicy::new(RestartSettings::default());
        let decisions = waits(&mut policy, 6, Duration::from_secs(1), None);
        let expected: Vec<Decision> = (0..5u32)
            .map(|i| Decision::Restart { after: Duration::from_millis(500 << i), attempt: i + 1 })
            .chain([Decision::GiveUp { exhausted: true }])
            .collect();
        assert_eq!(decisions, expected);
    }

    #[tokio::test]
    async fn a_failure_every_two_minutes_is_restarted_for_ever_after_the_first_wait() {
        let mut policy = RestartPolicy::new(RestartSettings::default());
        for decision in waits(&mut policy, 50, Duration::from_secs(120), None) {
            assert_eq!(decision, Decision::Restart { after: Duration::from_millis(500), attempt: 1 });
        }
    }

    #[tokio::test]
    async fn errors_that_a_person_must_mend_never_retry() {
        let mut policy = RestartPolicy::new(RestartSettings::default());
        for kind in [ErrorKind::Config, ErrorKind::Auth, ErrorKind::Schema, ErrorKind::LostPosition, ErrorKind::State] {
            let decision = policy.decide(&failure(kind), None, false, Instant::now(), 0.0);
            assert_eq!(decision, Decision::GiveUp { exhausted: false }, "{kind}");
        }
    }

    #[tokio::test]
    async fn a_tasks_own_retry_counts_failures_in_a_row() {
        let retry = Some(RetrySettings { max: 2, delay: Duration::from_secs(1) });
        let mut policy = RestartPolicy::new(RestartSettings::default());
        assert_eq!(waits(&mut policy, 3, Duration::from_secs(1), retry)[2], Decision::GiveUp { exhausted: true });
        let decision = policy.decide(&failure(ErrorKind::Timeout), retry, true, Instant::now(), 0.5);
        assert_eq!(decision, Decision::Restart { after: Duration::from_secs(1), attempt: 1 }, "progress starts anew");
    }

    #[tokio::test]
    async fn waits_are_capped_and_jittered() {
        let settings = RestartSettings { max: 40, ..RestartSettings::default() };
        let mut policy = RestartPolicy::new(settings);
        let Decision::Restart { after, .. } = waits(&mut policy, 30, Duration::from_millis(1), None)[29] else {
            panic!()
        };
        assert_eq!(after, settings.delay_max);
        let low = RestartPolicy::new(settings).decide(&failure(ErrorKind::Timeout), None, false, Instant::now(), 0.0);
        assert_eq!(low, Decision::Restart { after: Duration::from_millis(400), attempt: 1 });
    }
}
