//! All inputs of a task as one stream: barrier alignment and watermark merging.
//!
//! Once an input has delivered the barrier of an epoch it is not read until every other open input has delivered it
//! too: what `next` returned before the aligned barrier belongs to the epoch, everything after it does not.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use aqueduct_model::{Barrier, Batch, Element, Error, InputPort, Positions, Result, SchemaChange, Watermark};

use super::cancel::Cancel;
use super::channel::Receiver;
use super::faults::planted;

/// What comes out of an inbox.
pub(crate) enum Incoming {
    Batch(InputPort, Batch),
    Schema(InputPort, SchemaChange),
    /// The watermark over all inputs, only when it rose.
    Watermark(Watermark),
    /// The barrier has come from every open input; positions are those of all inputs together.
    Barrier(Barrier),
    /// Every input has ended.
    End,
    /// The flow is being torn down: stop without another word.
    Aborted,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum InputState {
    Open,
    /// Has delivered the barrier of the epoch that is being aligned.
    Aligned,
    Ended,
}

struct Input {
    receiver: Receiver,
    state: InputState,
    watermark: Option<Watermark>,
    /// Positions of the sources behind this input, as of its last barrier or its end.
    positions: Arc<Positions>,
}

/// All inputs of a task.
pub(crate) struct Inbox {
    inputs: Vec<Input>,
    /// Where the next round of polling starts, so that no input starves.
    turn: usize,
    aligning: Option<Barrier>,
    watermark: Option<Watermark>,
    ended: bool,
    cancel: Cancel,
}

impl Inbox {
    pub(crate) fn new(receivers: Vec<Receiver>, cancel: Cancel) -> Self {
        let inputs = receivers
            .into_iter()
            .map(|receiver| Input { receiver, state: InputState::Open, watermark: None, positions: Arc::default() })
            .collect();
        Self { inputs, turn: 0, aligning: None, watermark: None, ended: false, cancel }
    }

    /// The positions of all sources upstream, as of each input's last barrier or its end.
    pub(crate) fn positions(&self) -> Positions {
        let mut merged = Positions::new();
        for input in &self.inputs {
            merged.extend(input.positions.iter().map(|(task, position)| (task.clone(), position.clone())));
        }
        merged
    }

    /// Returns when the flow is being torn down.
    pub(crate) async fn aborted(&mut self) {
        self.cancel.cancelled().await;
    }

    /// The next thing to do. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// `Bug` when an edge lost rows or barriers of two epochs meet.
    pub(crate) async fn next(&mut self) -> Result<Incoming> {
        loop {
            if let Some(barrier) = self.aligned() {
                return Ok(Incoming::Barrier(barrier));
            }
            if !self.ended && self.inputs.iter().all(|input| input.state == InputState::Ended) {
                self.ended = true;
                return Ok(Incoming::End);
            }
            let Some((port, element)) = self.receive().await? else { return Ok(Incoming::Aborted) };
            match element {
                Element::Batch(batch) => return Ok(Incoming::Batch(InputPort(port), batch)),
                Element::Schema(change) => return Ok(Incoming::Schema(InputPort(port), change)),
                Element::Watermark(watermark) => {
                    self.inputs[port].watermark = Some(watermark);
                    if let Some(risen) = self.risen_watermark() {
                        return Ok(Incoming::Watermark(risen));
                    }
                }
                Element::Barrier(barrier) => self.align(port, barrier)?,
                Element::End { positions } => {
                    self.inputs[port].positions = positions;
                    self.inputs[port].state = InputState::Ended;
                    if let Some(risen) = self.risen_watermark() {
                        return Ok(Incoming::Watermark(risen));
                    }
                }
            }
        }
    }

    /// One element from any input that may be read, in turn; `None` when the flow is torn down.
    async fn receive(&mut self) -> Result<Option<(usize, Element)>> {
        let Self { inputs, turn, cancel, .. } = self;
        let count = inputs.len();
        let start = *turn;
        let next = poll_fn(|context| {
            for step in 0..count {
                let port = (start + step) % count;
                let input = &mut inputs[port];
                if input.state != InputState::Open {
                    continue;
                }
                let receive = std::pin::pin!(input.receiver.recv());
                if let Poll::Ready(received) = receive.poll(context) {
                    return Poll::Ready(received.map(|element| element.map(|element| (port, element))));
                }
            }
            Poll::Pending
        });
        let received = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            received = next => received?,
        };
        if let Some((port, _)) = &received {
            *turn = (port + 1) % count;
        }
        Ok(received)
    }

    fn align(&mut self, port: usize, barrier: Barrier) -> Result<()> {
        match &mut self.aligning {
            Some(current) if current.epoch != barrier.epoch => {
                return Err(Error::bug(format!("barriers of epochs {} and {} meet", current.epoch, barrier.epoch)));
            }
            Some(current) => current.stop |= barrier.stop,
            None => self.aligning = Some(barrier.clone()),
        }
        self.inputs[port].positions = barrier.positions;
        self.inputs[port].state = InputState::Aligned;
        Ok(())
    }

    /// The barrier, once every open input has delivered it; opens the inputs again.
    fn aligned(&mut self) -> Option<Barrier> {
        let waiting = self.inputs.iter().any(|input| input.state == InputState::Open);
        if self.aligning.is_none() || (waiting && !planted("mutant.barrier_unaligned")) {
            return None;
        }
        let barrier = self.aligning.take()?;
        for input in &mut self.inputs {
            if input.state == InputState::Aligned {
                input.state = InputState::Open;
            }
        }
        Some(Barrier { positions: Arc::new(self.positions()), ..barrier })
    }

    /// The least watermark over the inputs that are not idle and have not ended, if it rose.
    fn risen_watermark(&mut self) -> Option<Watermark> {
        if self.inputs.iter().all(|input| input.state == InputState::Ended) {
            return None;
        }
        let mut least: Option<i64> = None;
        let mut all_idle = true;
        for input in self.inputs.iter().filter(|input| input.state != InputState::Ended) {
            match input.watermark {
                None => return None,
                Some(Watermark::Idle) => {}
                Some(Watermark::EventTimeMs(ms)) => {
                    all_idle = false;
                    least = Some(least.map_or(ms, |so_far| so_far.min(ms)));
                }
            }
        }
        let merged = if all_idle { Watermark::Idle } else { Watermark::EventTimeMs(least?) };
        let rose = match (self.watermark, merged) {
            (Some(Watermark::EventTimeMs(before)), Watermark::EventTimeMs(now)) => now > before,
            (before, now) => before != Some(now),
        };
        rose.then(|| {
            self.watermark = Some(merged);
            merged
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::channel::{Sender, channel};
    use super::super::testing::batch;
    use super::*;
    use crate::plan::ChannelSettings;
    use aqueduct_model::{Epoch, Position};

    fn inbox(inputs: usize) -> (Vec<Sender>, Inbox) {
        let (senders, receivers) = (0..inputs).map(|_| channel(ChannelSettings::default())).unzip();
        (senders, Inbox::new(receivers, Cancel::never()))
    }

    fn barrier(epoch: u64, source: &str, row: u64) -> Element {
        let positions = Positions::from([(source.to_owned(), Position::single("", row.into()))]);
        Element::Barrier(Barrier { epoch: Epoch(epoch), stop: false, positions: Arc::new(positions) })
    }

    #[tokio::test]
    async fn rows_behind_a_barrier_wait_for_the_other_input() {
        let (mut senders, mut inbox) = inbox(2);
        senders[0].send_control(barrier(1, "a", 10)).unwrap();
        senders[0].send_batch(batch(7)).await.unwrap();
        senders[1].send_batch(batch(5)).await.unwrap();
        senders[1].send_control(barrier(1, "b", 20)).unwrap();
        let Incoming::Batch(port, first) = inbox.next().await.unwrap() else { panic!("a batch comes first") };
        assert_eq!((port, first.num_rows()), (InputPort(1), 5), "rows before the barrier come first");
        let Incoming::Barrier(aligned) = inbox.next().await.unwrap() else { panic!("then the barrier") };
        assert_eq!(aligned.positions.keys().collect::<Vec<_>>(), ["a", "b"]);
        let Incoming::Batch(_, second) = inbox.next().await.unwrap() else { panic!("then the rows behind it") };
        assert_eq!(second.num_rows(), 7);
    }

    #[tokio::test]
    async fn an_ended_input_counts_as_aligned() {
        let (mut senders, mut inbox) = inbox(2);
        let end = |source: &str| Element::End {
            positions: Arc::new(Positions::from([(source.to_owned(), Position::single("", 9.into()))])),
        };
        senders[0].send_control(end("a")).unwrap();
        senders[1].send_control(barrier(1, "b", 1)).unwrap();
        senders[1].send_control(end("b")).unwrap();
        let Incoming::Barrier(aligned) = inbox.next().await.unwrap() else { panic!("the barrier of the open input") };
        assert_eq!(aligned.positions.keys().collect::<Vec<_>>(), ["a", "b"], "where the ended source ended counts");
        assert!(matches!(inbox.next().await.unwrap(), Incoming::End));
        assert_eq!(inbox.positions()["b"], Position::single("", 9.into()));
    }

    #[tokio::test]
    async fn the_least_watermark_wins_and_idle_inputs_do_not_hold_it_back() {
        let (mut senders, mut inbox) = inbox(2);
        senders[0].send_control(Element::Watermark(Watermark::EventTimeMs(50))).unwrap();
        senders[1].send_control(Element::Watermark(Watermark::EventTimeMs(30))).unwrap();
        let Incoming::Watermark(merged) = inbox.next().await.unwrap() else { panic!("a watermark") };
        assert_eq!(merged, Watermark::EventTimeMs(30));
        senders[1].send_control(Element::Watermark(Watermark::Idle)).unwrap();
        let Incoming::Watermark(merged) = inbox.next().await.unwrap() else { panic!("a watermark") };
        assert_eq!(merged, Watermark::EventTimeMs(50));
    }

    #[tokio::test]
    async fn an_input_that_ended_holds_no_watermark_back() {
        let (mut senders, mut inbox) = inbox(2);
        senders[0].send_control(Element::Watermark(Watermark::EventTimeMs(50))).unwrap();
        senders[1].send_control(Element::End { positions: Arc::default() }).unwrap();
        let Incoming::Watermark(merged) = inbox.next().await.unwrap() else { panic!("a watermark") };
        assert_eq!(merged, Watermark::EventTimeMs(50));
    }

    #[tokio::test]
    async fn barriers_of_two_epochs_do_not_meet() {
        let (mut senders, mut inbox) = inbox(2);
        senders[0].send_control(barrier(1, "a", 1)).unwrap();
        senders[1].send_control(barrier(2, "b", 1)).unwrap();
        assert!(inbox.next().await.is_err());
    }
}
