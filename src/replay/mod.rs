//! What the sources of a run gave, kept in a folder, and run again offline: through the same flow or an edited one.
//!
//! A folder holds, per source, `rows` (Arrow IPC streams, one behind the other) and `index.jsonl` (what each of them is, in
//! order: batches and DDL with the position behind them, and committed epochs), and `flow.*`, the flow's file as it was.
//! Rows are kept as they came: the folder is as confidential as the source.
//!
//! What a restart takes back is taken back here too: a source that goes on from a position cuts its recording there.

mod change_text;
mod differences;
mod entry;
mod offline;
mod recorded_source;
mod recording;

#[cfg(test)]
mod tests;

pub(crate) use differences::differences;
pub(crate) use offline::offline;
pub(crate) use recorded_source::RecordedSource;
pub(crate) use recording::{RecordingPlugins, flow_of, prepare};
