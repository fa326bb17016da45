//! What travels on an edge, in band and in order.

use std::sync::Arc;

use crate::{Batch, Epoch, Positions, SchemaChange};

/// Progress of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    /// No later row carries an event time below this one (milliseconds since 1970-01-01 UTC).
    EventTimeMs(i64),
    /// This input is silent and must not hold back the others.
    Idle,
}

/// The mark that ends an epoch in the stream.
///
/// A source places it at a transaction boundary only; an operator passes it on once it came from every input.
#[derive(Debug, Clone)]
pub struct Barrier {
    /// The epoch that ends here.
    pub epoch: Epoch,
    /// After this barrier the task stops: the flow is being stopped or paused.
    pub stop: bool,
    /// For each source upstream, by task id, what it reads next.
    pub positions: Arc<Positions>,
}

/// What travels on an edge.
#[derive(Debug, Clone)]
pub enum Element {
    /// Rows.
    Batch(Batch),
    /// A table changed its shape; rows behind this element have the new one.
    Schema(SchemaChange),
    /// Progress of event time.
    Watermark(Watermark),
    /// The end of an epoch.
    Barrier(Barrier),
    /// No more elements will follow on this edge.
    End {
        /// For each source upstream, by task id, where it ended.
        positions: Arc<Positions>,
    },
}
