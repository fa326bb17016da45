//! SQL over rows, and the expression that every operator shares.
//!
//! * [`Expression`] is SQL text that was parsed; bound to a relation it becomes a [`BoundExpression`], which evaluates
//!   straight on Arrow arrays. Nothing is planned per batch.
//! * [`SQL`](ENTRY) is a query: stateless, row by row (columns, `where`, scalar functions, over one table), or of all
//!   rows, run whole at the end of bounded inputs (`whole`), or with totals that are kept while rows come and change
//!   (`streaming`).
//!
//! This folder alone knows DataFusion. There is no catalog, no table function, no DDL and no file access in it: a
//! stateless query is taken apart into expressions, and only these are given to DataFusion.

mod aggregate;
mod bound;
pub(crate) mod config;
mod declared;
mod expression;
mod functions;
mod names;
mod operator;
mod pair;
mod query;
mod reason;
mod session;
mod stack;
mod streaming;
#[cfg(test)]
mod tests;
pub(crate) mod whole;
mod wildcard;

pub(crate) use aggregate::{Aggregate, AggregateCall};
pub use bound::{BoundExpression, Evaluated};
pub use config::SqlConfig;
pub(crate) use declared::declared;
pub use expression::Expression;
pub use operator::ENTRY;
pub(crate) use pair::PairSide;
