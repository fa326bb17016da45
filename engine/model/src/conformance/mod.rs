//! The suite that every source and sink runs against itself.
//!
//! It checks what the contracts of [`Source`](crate::Source) and [`Sink`](crate::Sink) promise and what a type cannot
//! say: that a position leads to exactly the rows behind it, that nothing of an epoch shows before its end, that a
//! crash at any point neither loses nor doubles a row, that a fenced writer is refused.
//!
//! A test makes a [`SourceCase`] or [`SinkCase`], awaits [`check_source`] or [`check_sink`] on whatever runtime it
//! has, and fails on [`Report::into_result`]: the report lists *every* broken promise. The suite never panics itself
//! and turns a panic of the plugin into a line of the report.
//!
//! ```
//! use aqueduct_model::conformance::{SourceCase, check_source};
//! # use aqueduct_model::*;
//! # struct Nothing;
//! # #[async_trait::async_trait]
//! # impl Source for Nothing {
//! #     async fn open(&mut self, _: &SourceContext, resume: Option<&Position>) -> Result<()> {
//! #         match resume {
//! #             Some(position) if *position != Position::default() => Err(Error::new(ErrorKind::LostPosition, "no")),
//! #             _ => Ok(()),
//! #         }
//! #     }
//! #     async fn poll(&mut self, _: &PollBudget, _: &mut BadRows) -> Result<Polled> { Ok(Polled::Finished) }
//! #     fn position(&self) -> Option<Position> { Some(Position::default()) }
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let case = SourceCase::new("nothing", || Ok(Box::new(Nothing)));
//! check_source(&case).await.into_result().unwrap();
//! # });
//! ```
//!
//! What it does not do: types (each plugin tests its own round trip), speed, and faults of the network.
//! [`Faulty`] and [`FaultySource`] script faults around any plugin, for tests of the engine too.

mod caught;
mod faulty;
mod report;
mod row_text;
mod sink;
mod source;
mod workload;

#[cfg(test)]
mod tests;

pub use faulty::{Call, Fault, Faulty, FaultySource, Gate, Script};
pub use report::Report;
pub use row_text::{NULL_TEXT, Tables, batch_texts, record_texts};
pub use sink::{BadInput, SinkCase, SinkTarget, check_sink};
pub use source::{SourceCase, check_source};
pub use workload::{Orders, apply};
