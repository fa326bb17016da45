//! Rows of a query, straight into Arrow: what `MySQLInput` and the snapshots of `CdcInput` read with.
//!
//! * [`Rows`] runs a prepared statement and hands its rows out in blocks of bounded size.
//! * [`select_list`], [`order_by`], [`beside`] write the SQL that reads a table in ranges of its key; the
//!   database alone compares keys.
//!
//! The binary protocol is used, because it alone carries FLOAT exactly. The session must be one of
//! `connection::connect(_, Purpose::Read)`: texts in utf8mb4, TIMESTAMP in UTC, invalid dates as they are stored.
//! Values are the same, bit for bit, as those of the binary log's decoder.

mod column;
mod decimal;
mod key;
mod read;
mod sql;
mod temporal;
#[cfg(test)]
mod tests;

pub(crate) use decimal::{decimal128, decimal256};
pub(crate) use key::{among, beside, order_by, parameter, placeholder};
pub(crate) use read::Rows;
pub(crate) use sql::{quoted, select_list, table_name};
pub(crate) use temporal::{Civil, TextForm, Unfit, ZeroDates, duration_us, time_us};
