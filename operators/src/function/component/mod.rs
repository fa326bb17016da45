//! Columns computed by a function of a WebAssembly component.
//!
//! * The function gets one row and nothing else, in an instance of its own: see `aqueduct_wasm`, which runs it.
//! * Nothing is converted silently, neither on the way in nor on the way out.
//! * The file is read and checked when the task starts, not when the flow is planned: planning does no I/O.
//!
//! Invariant: nothing outside this folder imports `aqueduct_wasm`.

mod cells;
mod load;
#[cfg(test)]
mod tests;
mod work;

pub(super) use work::{BoundComponent, Component};
