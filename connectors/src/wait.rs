//! Waiting for a future on a thread that may block.
//!
//! The transactional sinks are synchronous and have a thread of their own; the clients of MySQL and PostgreSQL are
//! not. Their sockets are driven by the runtime's other threads, so the sink's thread only has to sleep.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use aqueduct_model::{Error, Result};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Sleeps until the future is ready. To be called on a thread that may block, inside a runtime with several threads.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    // Without a budget: it is refilled only when the task's outermost poll returns, which is long after this one.
    let mut future = pin!(tokio::task::unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Runs a future on a thread and a runtime of its own, wherever it is called from: for `doctor`, which may be called
/// inside a runtime or outside of one.
///
/// # Errors
/// `Bug` when the system gives no thread, or the future panics.
pub(crate) fn run_apart<T: Send>(future: impl Future<Output = T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let apart = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| runtime.block_on(future))
        });
        match apart.join() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Error::bug("cannot start a runtime").with_source(error)),
            Err(_) => Err(Error::bug("a check of a server panicked")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_is_woken_from_elsewhere_is_waited_for() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        runtime.spawn(async move { sender.send(7).unwrap() });
        assert_eq!(wait(receiver), Ok(7));
    }

    #[test]
    fn more_steps_than_a_task_may_take_at_once_do_not_hang() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        runtime.spawn(async move {
            for n in 0..1_000 {
                sender.send(n).await.unwrap();
            }
        });
        let sum = runtime.block_on(async {
            let mut sum = 0;
            while let Some(n) = wait(receiver.recv()) {
                sum += n;
            }
            sum
        });
        assert_eq!(sum, 499_500);
        assert_eq!(run_apart(async { 1 }).unwrap(), 1);
    }
}
