//! When the coordinator looks whether an epoch is due.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Beats at an interval; in the simulation, when told.
pub(crate) enum Pulse {
    /// See [`Pulse::every`].
    Timer(Interval),
    /// One beat per message.
    #[cfg(test)]
    Told(tokio::sync::mpsc::Receiver<()>),
}

impl Pulse {
    /// Beats every so often, first after one interval. To be called inside a runtime.
    pub(crate) fn every(interval: Duration) -> Self {
        let mut timer = tokio::time::interval_at(Instant::now() + interval, interval);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Timer(timer)
    }

    /// Waits for the next beat.
    pub(crate) async fn beat(&mut self) {
        match self {
            Self::Timer(timer) => {
                timer.tick().await;
            }
            #[cfg(test)]
            Self::Told(beats) => {
                if beats.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}
