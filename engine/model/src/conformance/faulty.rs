//! Scripted faults around any source or sink.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    BadRows, Claim, Cut, Epoch, Error, ErrorKind, PollBudget, Polled, Position, PreparedCommit, Recorded, Result, Sink,
    SinkContext, SinkInput, Source, SourceContext,
};

/// A call that a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `open` of a source or sink.
    Open,
    /// `poll` of a source.
    Poll,
    /// `on_checkpoint_durable` of a source.
    Durable,
    /// `claim` of a sink.
    Claim,
    /// `write` of a sink.
    Write,
    /// `flush` of a sink.
    Flush,
    /// `commit` of a sink.
    Commit,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The call fails with that kind and does nothing.
    Reject(ErrorKind),
    /// The call is done, and its answer is lost: it fails with that kind.
    FailAfterWrite(ErrorKind),
    /// The call waits until the gate is opened, then goes on.
    Hold(Gate),
    /// The call takes that much longer. It blocks the thread: only for plugins with a thread of their own.
    Slow(Duration),
}

/// Holds calls back until a test opens it. Clones share the gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    held: usize,
    wakers: Vec<Waker>,
}

impl Gate {
    /// Lets all held and later calls through.
    pub fn open(&self) {
        let wakers = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.open = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many calls reached the gate so far.
    pub fn held(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).held
    }

    async fn pass(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).held += 1;
        std::future::poll_fn(|context| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.open {
                return Poll::Ready(());
            }
            state.wakers.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Which fault strikes which call; shared by all values that a test builds, so that a count goes on after a restart.
///
/// ```
/// use aqueduct_model::ErrorKind;
/// use aqueduct_model::conformance::{Call, Fault, Script};
/// let script = Script::default();
/// script.strike(Call::Flush, 2, Fault::Reject(ErrorKind::Unavailable));
/// assert_eq!(script.calls(Call::Flush), 0);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<Strikes>>);

#[derive(Debug, Default)]
struct Strikes {
    planned: Vec<(Call, usize, Fault)>,
    calls: Vec<Call>,
}

impl Script {
    /// Plans a fault for the `nth` call (from 1) of that name, counted over all values that share the script.
    pub fn strike(&self, call: Call, nth: usize, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).planned.push((call, nth, fault));
    }

    /// How many calls of that name were made.
    pub fn calls(&self, call: Call) -> usize {
        let strikes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        strikes.calls.iter().filter(|made| **made == call).count()
    }

    fn next(&self, call: Call) -> Option<Fault> {
        let mut strikes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        strikes.calls.push(call);
        let nth = strikes.calls.iter().filter(|made| **made == call).count();
        strikes
            .planned
            .iter()
            .find(|(planned, at, _)| *planned == call && *at == nth)
            .map(|(_, _, fault)| fault.clone())
    }

    async fn run<T>(&self, call: Call, inner: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next(call) {
            None => inner.await,
            Some(Fault::Reject(kind)) => Err(Error::new(kind, format!("scripted fault before {call:?}"))),
            Some(Fault::FailAfterWrite(kind)) => {
                inner.await?;
                Err(Error::new(kind, format!("scripted fault after {call:?}")))
            }
            Some(Fault::Hold(gate)) => {
                gate.pass().await;
                inner.await
            }
            Some(Fault::Slow(time)) => {
                std::thread::sleep(time);
                inner.await
            }
        }
    }
}

/// A sink with scripted faults.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    script: Script,
}

impl<S> Faulty<S> {
    /// Wraps a sink.
    pub fn new(inner: S, script: Script) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl<S: Sink> Sink for Faulty<S> {
    async fn open(&mut self, context: &SinkContext) -> Result<Option<Recorded>> {
        self.script.run(Call::Open, self.inner.open(context)).await
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        self.script.run(Call::Claim, self.inner.claim(claim)).await
    }

    async fn write(&mut self, input: SinkInput, bad: &mut BadRows) -> Result<()> {
        self.script.run(Call::Write, self.inner.write(input, bad)).await
    }

    async fn flush(&mut self, cut: &Cut, bad: &mut BadRows) -> Result<Option<PreparedCommit>> {
        self.script.run(Call::Flush, self.inner.flush(cut, bad)).await
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        self.script.run(Call::Commit, self.inner.commit(epoch, prepared)).await
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl Sink for Box<dyn Sink> {
    async fn open(&mut self, context: &SinkContext) -> Result<Option<Recorded>> {
        (**self).open(context).await
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        (**self).claim(claim).await
    }

    async fn write(&mut self, input: SinkInput, bad: &mut BadRows) -> Result<()> {
        (**self).write(input, bad).await
    }

    async fn flush(&mut self, cut: &Cut, bad: &mut BadRows) -> Result<Option<PreparedCommit>> {
        (**self).flush(cut, bad).await
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        (**self).commit(epoch, prepared).await
    }

    async fn close(&mut self) -> Result<()> {
        (**self).close().await
    }
}

/// A source with scripted faults.
#[derive(Debug)]
pub struct FaultySource<S> {
    inner: S,
    script: Script,
}

impl<S> FaultySource<S> {
    /// Wraps a source.
    pub fn new(inner: S, script: Script) -> Self {
        Self { inner, script }
    }
}

#[async_trait]
impl<S: Source> Source for FaultySource<S> {
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        self.script.run(Call::Open, self.inner.open(context, resume)).await
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        self.script.run(Call::Poll, self.inner.poll(budget, bad)).await
    }

    fn position(&self) -> Option<Position> {
        self.inner.position()
    }

    async fn on_checkpoint_durable(&mut self, epoch: Epoch, position: &Position) -> Result<()> {
        self.script.run(Call::Durable, self.inner.on_checkpoint_durable(epoch, position)).await
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}

#[async_trait]
impl Source for Box<dyn Source> {
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        (**self).open(context, resume).await
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        (**self).poll(budget, bad).await
    }

    fn position(&self) -> Option<Position> {
        (**self).position()
    }

    async fn on_checkpoint_durable(&mut self, epoch: Epoch, position: &Position) -> Result<()> {
        (**self).on_checkpoint_durable(epoch, position).await
    }

    async fn close(&mut self) -> Result<()> {
        (**self).close().await
    }
}
