//! Rows of a query, straight into Arrow: what `PostgresInput` and the snapshots of `CdcInput` read with.
//!
//! * [`Select`] writes the SELECT list so that every column arrives in the form in which its Arrow type is decoded:
//!   what is kept as text is the text that the type's own output function makes, the one that the log carries too.
//! * [`CopyRows`] runs `COPY (SELECT …) TO STDOUT (FORMAT binary)` and hands its rows out in blocks of bounded size;
//!   [`read_rows`] reads them all.
//! * [`order_by`], [`beside`] write the SQL that reads a table in ranges of its key; the database alone
//!   compares keys.
//!
//! The session must be one of `connection::connect(_, Purpose::Read)`: its settings decide how values are written.

mod column;
mod frame;
#[cfg(test)]
mod fuzz;
mod key;
mod numeric;
mod read;
mod select;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use column::{ColumnBuilder, Unrepresentable};
pub(crate) use key::{among, beside, literals, order_by};
pub(crate) use read::{CopyRows, read_rows};
pub(crate) use select::{Select, quoted, table_name};
