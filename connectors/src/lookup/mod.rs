//! `Lookup`: columns of a database table beside every row, by key.
//!
//! * **Exact.** Keys are compared as they are, after a conversion that loses nothing; a key that is in the table twice is
//!   a bad row, never a guess.
//! * **Few questions.** One per batch and [`KEYS_PER_QUESTION`](operator) different keys that the cache does not have.
//! * **Bounded.** The cache has a size and a time; a server that is away for a moment is asked again.
//!
//! `operator`: the plugin. `cache`, `keys`, `found`: its parts. `table`: what a system must know to be asked; each system
//! has its own in its folder (`lookup`).

mod cache;
mod config;
mod found;
mod keys;
mod operator;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use operator::ENTRY;
pub(crate) use table::{LookupTable, Question, one_of};
