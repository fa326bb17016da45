//! `PostgresOutput`: tables of a PostgreSQL database as a target of the shared transactional sink.
//!
//! Rows go in by statements over arrays (`INSERT … SELECT FROM unnest(…)`): one round trip for any number of rows,
//! prepared once, without a temporary table. Rows that are likely new go in by COPY. Both are binary.

mod column;
mod config;
mod decode;
mod doctor;
mod encode;
mod inspect;
mod statements;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use config::OUTPUT;
