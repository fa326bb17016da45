//! What a row has taken so far.

use std::time::Instant;

use wasmtime::{Error, ResourceLimiter, Result};

use super::engine::TABLE_ELEMENTS_MAX;
use crate::limits::Limits;

/// Counts the memory and the time of one row.
pub(super) struct Meter {
    memory_bytes_left: usize,
    table_elements_left: usize,
    /// When the row has to be done; `None`: never.
    pub(super) until: Option<Instant>,
}

/// Memory that a row does not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoMemory {
    /// More than it may take, in memories or in tables.
    TooMuch,
    /// The system has none left.
    OfSystem,
}

impl std::fmt::Display for NoMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooMuch => "it takes too much memory",
            Self::OfSystem => "the system has no memory left",
        })
    }
}

impl std::error::Error for NoMemory {}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            memory_bytes_left: limits.memory_bytes,
            table_elements_left: TABLE_ELEMENTS_MAX,
            until: Instant::now().checked_add(limits.time),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }
}

fn take(left: &mut usize, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
    // As an error, so that it ends the call: told that there is no more memory, some functions would give something
    // else.
    let rest = left.checked_sub(desired.saturating_sub(current)).ok_or(NoMemory::TooMuch)?;
    if maximum.is_some_and(|maximum| desired > maximum) {
        // The component's own limit: it is told so.
        return Ok(false);
    }
    *left = rest;
    Ok(true)
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        take(&mut self.memory_bytes_left, current, desired, maximum)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        // What no memory can be is said before the meter is asked, everything else after it was granted.
        let is_impossible = error.to_string().contains("exceeds memory type's limits");
        Err(if is_impossible { NoMemory::TooMuch } else { NoMemory::OfSystem }.into())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        take(&mut self.table_elements_left, current, desired, maximum)
    }
}
