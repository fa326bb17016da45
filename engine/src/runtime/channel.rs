//! An edge: a channel bounded by rows *and* bytes.
//!
//! * Only batches need credit. Barriers, schema changes, watermarks and `End` pass at once, so a barrier can never
//!   dead-lock behind a full channel.
//! * A batch larger than the bound takes all of it, so one oversized batch passes at a time.
//! * Every barrier carries the number of rows sent since the one before it; the receiver checks that it saw as many.
//!   A batch that is lost or doubled between two tasks is therefore an error, in release builds too.

use std::sync::Arc;

use aqueduct_model::{Barrier, Batch, Element, Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::faults::planted;
use crate::plan::ChannelSettings;

/// The other end of the edge is gone: the flow is being torn down.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

struct Envelope {
    element: Element,
    /// For a barrier: rows sent on this edge since the last one.
    rows_in_epoch: u64,
    /// Credit that is given back when the receiver drops the envelope.
    _credit: Option<Credit>,
}

struct Credit {
    _rows: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// The sending end.
pub(crate) struct Sender {
    envelopes: mpsc::UnboundedSender<Envelope>,
    rows: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bounds: ChannelSettings,
    rows_in_epoch: u64,
}

/// The receiving end.
pub(crate) struct Receiver {
    envelopes: mpsc::UnboundedReceiver<Envelope>,
    rows: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    rows_in_epoch: u64,
}

/// Makes an edge with these bounds.
pub(crate) fn channel(bounds: ChannelSettings) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let rows = Arc::new(Semaphore::new(bounds.rows as usize));
    let bytes = Arc::new(Semaphore::new(bounds.bytes as usize));
    (
        Sender { envelopes: sender, rows: rows.clone(), bytes: bytes.clone(), bounds, rows_in_epoch: 0 },
        Receiver { envelopes: receiver, rows, bytes, rows_in_epoch: 0 },
    )
}

impl Sender {
    /// Sends a batch once there is credit for its rows and bytes.
    pub(crate) async fn send_batch(&mut self, batch: Batch) -> Result<(), Closed> {
        let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX).clamp(1, self.bounds.rows);
        let bytes = u32::try_from(batch.memory_bytes()).unwrap_or(u32::MAX).clamp(1, self.bounds.bytes);
        // Always rows before bytes, on every edge: two senders can never wait for each other.
        let rows = self.rows.clone().acquire_many_owned(rows).await.map_err(|_| Closed)?;
        let bytes = self.bytes.clone().acquire_many_owned(bytes).await.map_err(|_| Closed)?;
        self.rows_in_epoch += batch.num_rows() as u64;
        if planted("mutant.channel_drops_batch") {
            return Ok(());
        }
        let credit = Some(Credit { _rows: rows, _bytes: bytes });
        let envelope = Envelope { element: Element::Batch(batch), rows_in_epoch: 0, _credit: credit };
        self.envelopes.send(envelope).map_err(|_| Closed)
    }

    /// Sends anything but a batch, at once.
    pub(crate) fn send_control(&mut self, element: Element) -> Result<(), Closed> {
        let rows_in_epoch = match &element {
            Element::Barrier(_) => std::mem::take(&mut self.rows_in_epoch),
            _ => 0,
        };
        self.envelopes.send(Envelope { element, rows_in_epoch, _credit: None }).map_err(|_| Closed)
    }
}

impl Receiver {
    /// The next element. Credit of a batch is given back when it is received: one batch in hand is not in flight.
    ///
    /// # Errors
    /// `Bug` when a barrier's count of rows is not what arrived.
    pub(crate) async fn recv(&mut self) -> Result<Option<Element>> {
        let Some(envelope) = self.envelopes.recv().await else { return Ok(None) };
        match &envelope.element {
            Element::Batch(batch) => self.rows_in_epoch += batch.num_rows() as u64,
            Element::Barrier(Barrier { epoch, .. }) => {
                let arrived = std::mem::take(&mut self.rows_in_epoch);
                if arrived != envelope.rows_in_epoch {
                    return Err(Error::bug(format!(
                        "epoch {epoch}: {} rows were sent on an edge and {arrived} arrived",
                        envelope.rows_in_epoch
                    )));
                }
            }
            _ => {}
        }
        Ok(Some(envelope.element))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.rows.close();
        self.bytes.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::batch;
    use super::*;
    use aqueduct_model::Epoch;
    use futures::FutureExt;

    fn barrier() -> Element {
        Element::Barrier(Barrier { epoch: Epoch(1), stop: false, positions: Arc::default() })
    }

    fn blocked(sender: &mut Sender, rows: usize) -> bool {
        sender.send_batch(batch(rows)).now_or_never().is_none()
    }

    #[tokio::test]
    async fn rows_are_bounded_and_control_passes() {
        let (mut tx, mut rx) = channel(ChannelSettings { rows: 100, bytes: 1 << 20 });
        tx.send_batch(batch(1_000)).await.unwrap();
        tx.send_control(barrier()).unwrap();
        assert!(blocked(&mut tx, 1), "no credit must be left");
        assert!(matches!(rx.recv().await, Ok(Some(Element::Batch(_)))));
        assert!(matches!(rx.recv().await, Ok(Some(Element::Barrier(_)))));
        tx.send_batch(batch(60)).await.unwrap();
        assert!(blocked(&mut tx, 60));
    }

    #[tokio::test]
    async fn bytes_are_bounded() {
        let (mut tx, mut rx) = channel(ChannelSettings { rows: 1_000_000, bytes: 1_000 });
        tx.send_batch(batch(100)).await.unwrap();
        assert!(blocked(&mut tx, 100), "800 of 1000 bytes are taken");
        rx.recv().await.unwrap();
        tx.send_batch(batch(100)).await.unwrap();
    }

    #[tokio::test]
    async fn a_waiting_sender_learns_that_the_receiver_is_gone() {
        let (mut tx, rx) = channel(ChannelSettings { rows: 10, bytes: 1 << 20 });
        tx.send_batch(batch(10)).await.unwrap();
        let waiting = tokio::spawn(async move { tx.send_batch(batch(10)).await });
        tokio::task::yield_now().await;
        drop(rx);
        assert_eq!(waiting.await.unwrap(), Err(Closed));
    }

    #[tokio::test]
    async fn a_barrier_counts_the_rows_before_it() {
        let (mut tx, mut rx) = channel(ChannelSettings::default());
        tx.send_batch(batch(3)).await.unwrap();
        tx.rows_in_epoch += 1; // as if a batch of one row had been lost
        tx.send_control(barrier()).unwrap();
        rx.recv().await.unwrap();
        assert!(rx.recv().await.is_err());
    }
}
