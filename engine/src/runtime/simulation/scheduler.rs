//! Polls futures in an order that a seed decides, on one thread and without a clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::random::Random;

/// Set when a future wants to be polled.
struct Awake(AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Task<T> {
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    awake: Arc<Awake>,
}

/// Futures that are polled one at a time.
pub(super) struct Scheduler<T> {
    tasks: Vec<Task<T>>,
}

impl<T> Scheduler<T> {
    pub(super) fn new(futures: impl IntoIterator<Item = Pin<Box<dyn Future<Output = T> + Send>>>) -> Self {
        let task = |future| Task { future: Some(future), awake: Arc::new(Awake(AtomicBool::new(true))) };
        Self { tasks: futures.into_iter().map(task).collect() }
    }

    /// True when no future is left.
    pub(super) fn is_done(&self) -> bool {
        self.tasks.iter().all(|task| task.future.is_none())
    }

    /// Polls one future that wants it. `None` when none does; else its result, if it ended.
    pub(super) fn step(&mut self, random: &mut Random) -> Option<Option<T>> {
        let ready: Vec<usize> = (0..self.tasks.len())
            .filter(|&i| self.tasks[i].future.is_some() && self.tasks[i].awake.0.load(Ordering::Relaxed))
            .collect();
        let chosen = *ready.get(random.below(ready.len()))?;
        let Task { future, awake } = &mut self.tasks[chosen];
        awake.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(awake.clone());
        let polled = future.as_mut()?.as_mut().poll(&mut Context::from_waker(&waker));
        Some(match polled {
            Poll::Pending => None,
            Poll::Ready(result) => {
                *future = None;
                Some(result)
            }
        })
    }
}
