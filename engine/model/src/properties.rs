//! What the planner has to know of a configured plugin before anything starts.

use serde::Serialize;

use crate::HumanDuration;

/// Whether a source can read the same rows again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// From any position, in the same order, the same rows.
    #[default]
    Exact,
    /// From a position with an overlap: rows may come twice.
    Overlap,
    /// Not at all.
    None,
}

/// What a sink can promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Output for people; nothing is promised.
    #[default]
    BestEffort,
    /// Every row at least once.
    AtLeastOnce,
    /// Every row takes effect once per key, because writes are idempotent.
    EffectivelyOnce,
    /// Every row exactly once.
    ExactlyOnce,
}

/// What a sink or an operator does with updates and deletes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeSupport {
    /// Takes inserts only; an update or delete is an error, so the planner wants to know the source.
    AppendOnly,
    /// Takes updates and deletes.
    #[default]
    Changes,
}

/// How many rows an operator makes of its input rows; asserted at every epoch, in release builds too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cardinality {
    /// One output row (on one port) or one bad row per input row.
    OneToOne,
    /// At most as many.
    Filtering,
    /// Any number.
    #[default]
    Any,
}

/// An input that the settings of an operator name, and that is read to its end before the others are opened.
///
/// The planner refuses one that never ends, that brings updates or deletes, or whose rows come by another input of the task
/// too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstInput {
    /// The input, as the task's `from` names it: `customers`, or `route.big` for a named port.
    pub input: String,
    /// The path of the setting that names it, inside `config`.
    pub setting: String,
}

/// What the planner has to know of a configured plugin before anything starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Properties {
    /// How many inputs the task may name in `from`: least and most (`usize::MAX`: any number).
    pub inputs: (usize, usize),
    /// The output ports in order; the first is the main one. Empty for a sink.
    pub outputs: Vec<String>,
    /// The plugin's methods may block; the engine gives the task a thread of its own.
    pub blocking: bool,
    /// A source that never finishes by itself.
    pub unbounded: bool,
    /// A source that emits updates and deletes, or an operator that makes them of inserts.
    pub emits_changes: bool,
    /// Whether a source can read again.
    pub replay: Replay,
    /// What a sink promises, given a source that replays exactly.
    pub delivery: Delivery,
    /// Why a sink does not promise more, and which setting would change it.
    pub delivery_reason: Option<String>,
    /// A sink whose ledger in the target moves with every epoch, in the target's own transaction.
    pub transactional: bool,
    /// Whether a sink or an operator takes updates and deletes.
    pub changes: ChangeSupport,
    /// Inputs of an operator that are read to their end before the sources of its other inputs are opened.
    pub first_inputs: Vec<FirstInput>,
    /// An operator that waits for the end of its input; behind a source that never ends it would wait forever.
    pub needs_end: bool,
    /// An operator that gives its rows as event time comes on; behind a source that never ends and says nothing of event
    /// time it would give none.
    pub needs_event_time: bool,
    /// An operator that says how far event time has come.
    pub gives_event_time: bool,
    /// An operator that runs flows: what it is for may happen there, so nobody needs to read its rows. It puts values
    /// of rows (`${row.x}`) into its settings by itself.
    pub runs_flows: bool,
    /// An operator that keeps state between batches.
    pub stateful: bool,
    /// How many rows an operator makes of its input rows.
    pub cardinality: Cardinality,
    /// How long the inputs of an operator may be silent before it is told so, by the watermark `Idle`; `None`: never.
    pub idle_after: Option<HumanDuration>,
}

impl Properties {
    /// A bounded source that replays exactly and emits inserts.
    pub fn source() -> Self {
        Self {
            inputs: (0, 0),
            outputs: vec!["out".to_owned()],
            blocking: false,
            unbounded: false,
            emits_changes: false,
            replay: Replay::Exact,
            delivery: Delivery::BestEffort,
            delivery_reason: None,
            transactional: false,
            changes: ChangeSupport::Changes,
            first_inputs: Vec::new(),
            needs_end: false,
            needs_event_time: false,
            gives_event_time: false,
            runs_flows: false,
            stateful: false,
            cardinality: Cardinality::Any,
            idle_after: None,
        }
    }

    /// A stateless operator with one input and one output.
    pub fn operator() -> Self {
        Self { inputs: (1, 1), ..Self::source() }
    }

    /// A sink with one or more inputs that takes changes and promises nothing yet.
    pub fn sink() -> Self {
        Self { inputs: (1, usize::MAX), outputs: Vec::new(), ..Self::source() }
    }
}
