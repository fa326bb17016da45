//! Columns computed by a script: rhai, in a sandbox.
//!
//! * A script sees one row and nothing else: no files, no clock, no chance, no other row, no output but its value.
//! * Nothing is converted silently, neither on the way in (decimals stay decimals) nor on the way out.
//! * It is bounded: in steps, depth, sizes and time.
//!
//! Invariant: nothing outside this folder imports rhai.

mod cells;
mod decimal;
mod given;
mod reason;
mod sandbox;
#[cfg(test)]
mod tests;
mod work;

pub(super) use sandbox::Sandbox;
pub(super) use work::{BoundScript, Script};
