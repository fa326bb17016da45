//! What rules remember that need other rows: the keys that are taken, what became of each row, the values of references,
//! how many rows there are.
//!
//! * A row takes its keys when it is let through, and gives them back when it is deleted, changed or refused.
//! * Of a row whose table has a key, its place is kept: with it, a delete goes where the row went, whatever it carries.
//! * All of it is in the checkpoint: a replay decides as the first run did.

mod keys;
mod place;
mod store;
#[cfg(test)]
mod tests;

pub(super) use keys::{Keys, Value, Values};
pub(super) use place::Place;
pub(super) use store::{Kept, Table};
