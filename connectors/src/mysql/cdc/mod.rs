//! Changes from the binary log: what MySQL and MariaDB need so that `cdc::capture` can capture them.
//!
//! [`MysqlSystem`] checks rights and settings, finds the log's end, asks for the log and reads it into batches;
//! [`MysqlReader`] reads ranges of tables and knows what each shows of the log. Nothing is ever locked: no `LOCK TABLES`,
//! no `FLUSH TABLES WITH READ LOCK`.
//!
//! What it does not do: write to the server; understand changes that are logged as statements (an error says so); see
//! what foreign keys cascade to, unless the server logs it.

mod end;
mod group;
mod log;
mod mark;
mod order;
mod reader;
mod resume;
mod schema;
mod settings;
mod statement;
mod stream;
mod system;
mod tables;
#[cfg(test)]
mod tests;
mod transaction;
mod wire;

pub use settings::Cascade;
pub(crate) use settings::MysqlSettings;
pub(crate) use system::MysqlSystem;
