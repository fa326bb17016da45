//! `MySQLOutput`: tables of a MySQL or MariaDB database as a target of the shared transactional sink.
//!
//! Rows go in by statements of many rows (`INSERT … ON DUPLICATE KEY UPDATE`), as large as `max_allowed_packet` allows:
//! one round trip each, nothing to prepare, no temporary table, and neither `local_infile` nor the FILE privilege.

mod config;
mod decode;
mod doctor;
mod inspect;
mod literal;
mod statements;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use config::OUTPUT;
