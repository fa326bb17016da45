//! One row's way through a flow: where its source read it, what every task made of it, where it ended.
//!
//! The flow runs as for `preview`: sources are read to their end or first silence, operators are real, targets write
//! nothing. A batch with the row in it is cut, so that the row goes through every task in a batch of its own: what a task
//! gives while it has that batch, it gives because of the row. So the way is followed also where the key changes.
//!
//! Rows that a task gives later, such as totals at the end of the input, are found again by the key, where they have its
//! columns.

mod key;
mod log;
mod plugins;
mod show;
mod taps;

#[cfg(test)]
mod tests;

pub(crate) use key::Key;
pub(crate) use plugins::TracePlugins;
pub(crate) use show::show;
