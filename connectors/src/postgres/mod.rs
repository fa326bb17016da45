//! PostgreSQL: changes by logical replication, tables in, tables out.

mod address;
pub(crate) mod cdc;
mod column_type;
mod connection;
mod copy;
mod doctor;
mod error;
mod execute;
#[cfg(test)]
mod fuzz;
mod input;
mod lookup;
mod row_text;
mod server;
mod sink;
mod table;
mod tls;

pub(crate) use address::Address;
#[cfg(test)]
pub(crate) use column_type::ColumnType;
pub(crate) use copy::Unrepresentable;
pub(crate) use doctor::check;
pub(crate) use execute::execute;
pub(crate) use input::INPUT;
pub use lookup::PostgresLookupConfig;
pub(crate) use sink::OUTPUT;
