//! What the checkpoint coordinator and the tasks say to each other.

use aqueduct_model::{BadRow, Claim, Cut, Epoch, Position, PreparedCommit, Recorded, State};
use tokio::sync::mpsc;

use crate::receipts::Content;

/// Coordinator to one task, over a bounded channel.
#[derive(Debug)]
pub(crate) enum Command {
    /// To a source: go to work.
    StartSource {
        resume: Option<Position>,
        /// A recorded epoch that is replayed first: read exactly to the position, then place its barrier.
        replay: Option<(Epoch, Position)>,
        /// Not before [`Command::Go`].
        waits: bool,
        /// The checkpoint says that the source had come to its end: those behind it hear so at once.
        ended: bool,
    },
    /// To a source that waits: its turn has come.
    Go,
    /// To an operator: go to work.
    StartOperator { state: Option<State>, finished: bool },
    /// To a sink: become the only writer, finish what was logged, discard what the target already has.
    Claim {
        claim: Claim,
        roll_forward: Option<(Epoch, PreparedCommit)>,
        /// The target already holds this epoch: its rows are dropped up to the epoch's barrier.
        discard: Option<Cut>,
    },
    /// To a source: end the epoch at the next transaction boundary. To an operator that lingers: end it now.
    Barrier { epoch: Epoch, stop: bool },
    /// To a sink whose inputs have all ended: flush without a barrier.
    Flush { epoch: Epoch },
    /// To a sink: the epoch is logged, make it visible.
    Commit { epoch: Epoch, prepared: PreparedCommit },
    /// To a source: every sink has committed the epoch.
    Durable { epoch: Epoch, position: Position },
    /// The flow is over: close and return.
    Exit,
}

/// One task's part in an epoch.
#[derive(Debug)]
pub(crate) enum Part {
    /// A source's position at its barrier; none before it was opened for the first time. And whether its end is in the
    /// epoch that follows, or was in an earlier one.
    Source { position: Option<Position>, ended: bool },
    /// An operator's state at the aligned barrier.
    Operator { state: State },
    /// What a sink needs to commit, and what it was given.
    Sink { prepared: Option<PreparedCommit>, content: Content },
}

/// One task to the coordinator.
#[derive(Debug)]
pub(crate) enum Event {
    /// A sink has connected and found this.
    Opened { recorded: Option<Recorded> },
    /// A sink has claimed its target; a source or operator has opened. A source says where it stands.
    Ready { position: Option<Position> },
    /// The task has done its part of the epoch.
    Snapshot { epoch: Epoch, part: Part, bad_rows: Vec<BadRow> },
    /// A sink has committed the epoch.
    Committed { epoch: Epoch },
    /// The inputs of an operator have ended, and its work beside them has not: from now on it is asked for barriers.
    Lingers,
    /// A source has read everything: it asks for the epoch that says so.
    AtEnd,
    /// A source has told those behind it that it has ended, an operator or sink has seen the end of all inputs.
    Finished,
}

/// How many commands may wait for a task: more than the protocol ever has under way.
pub(crate) const COMMANDS_MAX: usize = 8;

/// A task's line to the coordinator.
#[derive(Debug, Clone)]
pub(crate) struct EventSender {
    task: usize,
    events: mpsc::Sender<(usize, Event)>,
}

impl EventSender {
    pub(crate) fn new(task: usize, events: mpsc::Sender<(usize, Event)>) -> Self {
        Self { task, events }
    }

    /// Tells the coordinator. A coordinator that is gone is no error: the flow is being torn down and the task will
    /// see its command channel closed.
    pub(crate) async fn send(&self, event: Event) {
        let _ = self.events.send((self.task, event)).await;
    }
}
