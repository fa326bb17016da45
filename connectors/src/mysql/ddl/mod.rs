//! DDL as it stands in the binary log: which tables a statement touches, and what it does to them; no input or output.
//!
//! * [`parse`] says what a statement is. Everything that cannot change a table's columns or rows is
//!   [`Statement::Nothing`]; what is not understood is [`Statement::Unknown`], with every name that is in it, so that
//!   only a statement that may touch a captured table stops a flow.
//! * [`apply`] gives the relations that a statement leads to, and the changes on the way. Names in one statement that
//!   swap come out right, for tables and for columns.
//! * [`difference`] gives the changes between two relations: what became of a table that was replaced by a ghost.

mod alter;
mod apply;
mod charset;
mod column;
mod column_type;
mod create;
mod cursor;
mod layout;
mod lexer;
mod statement;
#[cfg(test)]
mod tests;

pub(crate) use apply::{ApplySettings, Effect, KnownTables, apply};
pub(crate) use charset::CharsetDefault;
pub(crate) use column::default_value;
pub(crate) use layout::difference;
pub(crate) use lexer::Dialect;
pub(crate) use statement::{Statement, TableDdl, parse};
