//! What goes on beside the stream.

use async_trait::async_trait;

use crate::{Output, Result};

/// How much work is under way beside the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// None: the operator may end when its inputs do.
    Idle,
    /// Some: the operator goes on behind the end of its inputs, and epochs go on with it.
    Busy,
    /// As much as there may be: no more input is taken until some of it is done.
    Full,
}

/// Work beside the stream: runs of other flows, calls under way, timers.
///
/// An epoch that a target already holds is made again after a crash, and must be the same then. So what is emitted in an
/// epoch must follow from the snapshot before it and from the epoch's rows: what comes from outside is first named in a
/// snapshot, and emitted behind it, all of it, in the epoch that follows.
#[async_trait]
pub trait Background: Send {
    /// Returns once `step` has something to do. Nothing is lost when the future is dropped.
    async fn ready(&mut self);

    /// Does it.
    ///
    /// # Errors
    /// Those of the operator.
    async fn step(&mut self, out: &mut dyn Output) -> Result<()>;

    /// The epoch ends: emits all that the last snapshot named and `step` has not emitted yet.
    ///
    /// # Errors
    /// Those of the operator.
    async fn settle(&mut self, out: &mut dyn Output) -> Result<()>;

    /// How much is under way.
    fn load(&self) -> Load;
}
