//! What a function may take.

use std::time::Duration;

/// What a function may take for one row.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most fuel: about one for each instruction. A row that takes more is a bad row, in every run.
    pub fuel: u64,
    /// The most bytes of memory, and the most that what it gives takes. A row that takes more is a bad row, in every
    /// run.
    pub memory_bytes: usize,
    /// The longest time. Another run may find the same row in time, so this is no property of the row.
    pub time: Duration,
}
