//! Has functions that run look at the time now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// How often a function looks: not more often than it is worth, and not so seldom that a limit is far exceeded.
const TICK: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// A thread that turns the engine's epoch while a function runs, and sleeps otherwise. Joined when this is dropped.
#[derive(Debug)]
pub(super) struct Clock {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    is_busy: AtomicBool,
    is_asleep: AtomicBool,
    is_closed: AtomicBool,
}

impl Clock {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(engine: Engine, limit: Duration) -> std::io::Result<Self> {
        let state = Arc::new(State::default());
        let tick = (limit / 10).clamp(TICK.0, TICK.1);
        let shared = state.clone();
        let thread = thread::Builder::new().name("wasm-clock".to_owned()).spawn(move || shared.run(&engine, tick))?;
        Ok(Self { state, thread: Some(thread) })
    }

    fn thread(&self) -> Option<&Thread> {
        self.thread.as_ref().map(JoinHandle::thread)
    }

    /// Runs something during which the epoch has to turn.
    pub(super) fn while_ticking<T>(&self, run: impl FnOnce() -> T) -> T {
        // Either this sees that the thread sleeps, or the thread sees that something runs: each writes before it reads.
        self.state.is_busy.store(true, Ordering::SeqCst);
        if self.state.is_asleep.swap(false, Ordering::SeqCst) {
            self.thread().inspect(|thread| thread.unpark());
        }
        let given = run();
        self.state.is_busy.store(false, Ordering::SeqCst);
        given
    }
}

impl State {
    fn run(&self, engine: &Engine, tick: Duration) {
        while !self.is_closed.load(Ordering::SeqCst) {
            if self.is_busy.load(Ordering::SeqCst) {
                thread::park_timeout(tick);
                engine.increment_epoch();
                continue;
            }
            self.is_asleep.store(true, Ordering::SeqCst);
            if !self.is_busy.load(Ordering::SeqCst) && !self.is_closed.load(Ordering::SeqCst) {
                thread::park();
            }
            self.is_asleep.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.state.is_closed.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        // It cannot panic: it only turns a number.
        drop(thread.join());
    }
}
