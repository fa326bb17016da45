//! `Join`: rows of two tables that belong together.
//!
//! * [`bounded`]: both tables are kept until their inputs end, then joined whole, in files where memory does not suffice.
//! * [`changelog`]: row by row, while both tables change; what comes out changes with them.
//! * [`timed`]: by event time, over inputs that may be endless: rows whose times lie close together, or the last row at a time.
//!
//! What the last two share: [`tables`] says which input brings which table, [`side`] turns rows of one into bytes, [`shape`]
//! says what comes out, and [`joined`] makes it of the bytes.

mod bounded;
mod changelog;
mod check;
mod config;
mod joined;
mod operator;
mod query;
mod shape;
mod side;
mod tables;
#[cfg(test)]
mod tests;
mod timed;
mod times;

pub use config::{JoinConfig, Mode};
pub use operator::ENTRY;
pub use times::{AsOf, Interval, Shift};
