//! `MySQLInput`: a table or a query, once or again and again.
//!
//! * `config`: the settings and the catalogue entry. `reader`: the session behind [`crate::sql_input::SqlInput`].
//! * `query`: what the rows of a query look like.

mod config;
mod query;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use config::INPUT;
pub(super) use config::MySqlInputConfig;
pub(super) use reader::MySqlReader;
