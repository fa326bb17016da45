//! Components in wasmtime.
//!
//! **An instance for each row.** A component keeps memory and globals between calls, and a call may read what an
//! earlier one left there: a result would then depend on the rows before it, and after a restart, which replays from
//! another row, on where the last checkpoint was. So nothing outlives a row: neither instances nor stores. The
//! function gets one row and not a batch for the same reason, as it would see where the batch was cut. What that costs
//! is kept low by resolving everything once ([`InstancePre`](wasmtime::component::InstancePre)), by memory that is
//! mapped once and set back between rows (the pooling allocator), and by images of the initial memory that are copied
//! on write. Measured with three small cells on two cores of 2026: 5 µs a row, where calls of one instance take 0.7 µs
//! and instances without the pool 30 µs.
//!
//! **The same everywhere.** NaN has one pattern of bits; relaxed SIMD, threads and 64-bit memory are off; fuel and
//! memory are counted, not timed. A memory access out of bounds is found by a comparison and not by a signal, so that
//! nothing is installed for the whole process.
//!
//! Invariant: nothing outside this folder, but the types of cells, imports wasmtime.

mod clock;
mod component;
mod contract;
mod engine;
mod meter;
mod reason;
#[cfg(test)]
mod tests;

pub use component::{Component, check_build};
