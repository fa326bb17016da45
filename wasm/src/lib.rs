//! Functions of WebAssembly components over rows, in a sandbox.
//!
//! * A function gets one row and gives values, and each row has an instance of its own: what it gives depends on
//!   nothing else, neither on the rows before it nor on how rows were cut into batches.
//! * It has no imports, so no files, no network, no clock and no chance; floating point gives the same bits
//!   everywhere.
//! * It is bounded: in instructions (fuel), memory and time.
//!
//! What a component looks like is in `wit/function.wit`. Knows no batches and no flows: cells come and go as [`Value`].
//!
//! Only with the feature `wasm`; without it [`Component::load`] says so, and nothing else is compiled. The crate
//! depends on nothing of ours, so that its tests compile the runtime and not the program.

mod failure;
mod limits;
mod value;

#[cfg(not(feature = "wasm"))]
mod absent;
#[cfg(feature = "wasm")]
mod host;

pub use failure::{About, Failed, Refused};
pub use limits::Limits;
pub use value::{Moment, Value};

#[cfg(not(feature = "wasm"))]
pub use absent::{Component, check_build};
#[cfg(feature = "wasm")]
pub use host::{Component, check_build};

/// The largest component that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
