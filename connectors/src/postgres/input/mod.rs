//! `PostgresInput`: a table or a query, once or again and again.
//!
//! * `config`: the settings and the catalogue entry. `reader`: the session behind [`crate::sql_input::SqlInput`].

mod config;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use config::INPUT;
pub(super) use config::PostgresInputConfig;
pub(super) use reader::PostgresReader;
