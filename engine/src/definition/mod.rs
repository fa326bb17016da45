//! Flow files: YAML, JSON and XML, read into one tree of values with positions and from there into a [`FlowDef`].
//!
//! What a flow file may hold is written once, in [`keys`]: the reader, the defaults, the editor schema and the
//! reference pages come from that table. Every mistake is reported with file, line, column, cause and fix, and all of
//! them at once. Values that come from `${env:…}` and `${file:…}` are remembered as [`Secrets`].
//!
//! Nothing here knows what a plugin's settings mean: that is the planner's part.

mod check;
mod diagnostic;
mod document;
mod expand;
mod flow;
mod json;
pub mod keys;
mod literal_secrets;
mod locate;
mod message;
mod near;
mod node;
mod overlay;
mod params;
mod report;
mod scalar;
mod schema;
mod secrets;
mod source;
mod syntax_message;
mod xml;
mod xml_tree;
mod yaml;

#[cfg(test)]
mod tests;

pub use check::check_keys;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use document::{Document, Lookup, Reading};
pub use flow::{CheckpointDef, FlowDef, HookDef, HookRun, RetryDef, Spanned, TaskDef};
pub use locate::Located;
pub use message::Message;
pub(crate) use message::{lower_first, message, suggest};
pub use near::nearest;
pub use node::{Entry, Node, Span, Value};
pub use report::Report;
pub use schema::json_schema;
pub use secrets::Secrets;
pub use source::{FILE_BYTES_MAX, Format, Source};
