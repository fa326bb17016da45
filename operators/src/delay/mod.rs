//! `Delay`: holds rows back for a time.
//!
//! * **In order.** Rows, DDL and watermarks wait in one line and leave it as they came.
//! * **Exact.** The line is part of the checkpoint. By the clock, what leaves is first named in a checkpoint and leaves
//!   behind it, so that an epoch can be made again as it was.
//! * **Bounded.** What does not fit memory lies in files; a barrier never waits for rows that are held.

mod config;
mod entry;
mod line;
mod marks;
mod operator;
#[cfg(test)]
mod tests;

pub use config::DelayConfig;
pub use operator::ENTRY;
