//! The types and traits that every Aqueduct plugin is written against.
//!
//! A plugin author needs this crate and nothing else: there is no runtime, no actor and no I/O in it.
//!
//! * What flows between tasks: [`Element`], [`Batch`], [`Relation`], [`SchemaChange`].
//! * Where a source stands and what is safe: [`Position`], [`Epoch`], [`Token`], [`Cut`].
//! * What a plugin implements: [`Source`], [`Operator`], [`Transform`], [`Sink`]; for `verify`, [`Inspect`]; for work
//!   beside the stream, [`Background`]; for flows that a flow runs, [`Runs`].
//! * How the product knows a plugin: [`PluginEntry`], [`Catalogue`], [`Properties`].
//! * How things fail: [`Error`], [`ErrorKind`], [`Directive`], [`BadRow`], [`BadRows`].
//!
//! With the feature `conformance` the suite that every source and sink runs against itself is here too.
#![deny(missing_docs)]

mod background;
mod bad_row;
mod batch;
mod byte_size;
mod checksum;
#[cfg(feature = "conformance")]
pub mod conformance;
mod element;
mod error;
mod human_duration;
mod inspect;
mod operator;
mod plugin;
mod position;
mod properties;
mod relation;
mod row_values;
mod rule_counts;
mod runs;
mod scan;
mod schema_change;
mod secret;
mod sink;
mod source;
mod transform;

pub use background::{Background, Load};
pub use bad_row::{BadRow, BadRowPolicy, BadRows};
pub use batch::{Batch, Op, Ops};
pub use byte_size::ByteSize;
pub use checksum::{Checksum, TableChecksum};
pub use element::{Barrier, Element, Watermark};
pub use error::{Directive, Error, ErrorKind, Result};
pub use human_duration::HumanDuration;
pub use inspect::{Inspect, View};
pub use operator::{InputPort, Operator, OperatorContext, Output, OutputPort, State};
pub use plugin::{
    Build, Catalogue, Finding, OperatorPlugin, PlacedSource, PluginEntry, PluginKind, SinkPlugin, SourcePlugin,
    operator, sink, source,
};
pub use position::{Cut, Epoch, Offset, Position, Positions, SplitId, Token};
pub use properties::{Cardinality, ChangeSupport, Delivery, FirstInput, Properties, Replay};
pub use relation::{ORIGIN, Relation, RelationName};
pub use row_values::{bind_row, cell_text, cell_value, names_row};
pub use rule_counts::{RuleCount, RuleCounter, RuleCounts};
pub use runs::{RunEnd, RunFailure, RunRequest, Runs};
pub use scan::{ChooseReading, Reading, Scan};
pub use schema_change::{Change, SchemaChange};
pub use secret::Secret;
pub use sink::{Claim, PreparedCommit, Recorded, Sink, SinkContext, SinkInput};
pub use source::{PollBudget, Polled, Source, SourceContext};
pub use transform::{Applied, BoundTransform, Stateless, Transform};
