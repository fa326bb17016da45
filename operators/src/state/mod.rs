//! The state of operators that remember: an ordered map from bytes to bytes that may outgrow memory.
//!
//! * **Exact.** What [`Store::snapshot`] returned brings back exactly what the map held then: bytes of a checkpoint name
//!   the files, and files never change once they are named.
//! * **Incremental.** A checkpoint costs what changed since the one before: few changes stand in the checkpoint itself,
//!   many go into one more sorted file. Files are merged beside the stream.
//! * **Bounded.** Values that were used last are held in memory up to a budget; the others are read from the files.
//! * A file that a checkpoint names and that is gone or damaged is an error that says so, never an empty map.
//!
//! Not for two tasks at once: a folder belongs to one operator, and the flow's checkpoint is locked.

mod cursor;
mod held;
mod manifest;
mod merge;
mod run;
mod store;

#[cfg(test)]
mod tests;

pub(crate) use store::{Store, StoreSettings};
