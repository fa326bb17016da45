//! MySQL and MariaDB: changes from the binary log, tables in, tables out.
//!
//! `address`, `tls`, `connection` and `error` are the way to a server; `server` says what it is and how it is set;
//! `table` describes its tables. `cdc` follows the binary log.

mod address;
mod binlog;
mod column_default;
mod column_type;
mod connection;
mod ddl;
mod doctor;
mod error;
mod execute;
mod input;
mod lookup;
mod row_text;
mod rows;
mod server;
mod sink;
mod table;
mod tls;

pub(crate) mod cdc;

pub(crate) use address::Address;
#[cfg(test)]
pub(crate) use column_type::ColumnSpec;
pub(crate) use doctor::findings;
pub(crate) use execute::execute;
pub(crate) use input::INPUT;
pub use lookup::MySqlLookupConfig;
pub(crate) use rows::ZeroDates;
pub(crate) use sink::OUTPUT;
pub(crate) use tls::{Tls, TlsMode};
