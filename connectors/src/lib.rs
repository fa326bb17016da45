//! Sources and sinks: one folder per system, one cargo feature per folder.
//!
//! Every folder has the same files for the same roles: `mod` (what it is, what it promises, what it does not do),
//! `config`, `source`, `sink`, and `notes.md` and `example.yaml` for the catalogue. Connectors see the model crate and
//! their own client library; they see neither the engine nor each other. Two folders are over the systems, whose parts they
//! hold together: `cdc`, and `lookup`, the one operator here, because it needs the systems' sessions.

#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub mod cdc;
#[cfg(feature = "console")]
mod console;
#[cfg(feature = "csv")]
mod csv;
#[cfg(feature = "duckdb")]
mod duckdb;
#[cfg(feature = "faker")]
mod faker;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "json")]
mod json;
#[cfg(any(feature = "duckdb", feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod lookup;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "duckdb", feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod row_checksum;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod sql_input;
#[cfg(any(feature = "duckdb", feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod sql_target;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "csv", feature = "parquet"))]
mod staged_files;
#[cfg(any(feature = "csv", feature = "json"))]
mod text_files;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod wait;

use aqueduct_model::PluginEntry;

/// All connectors of this build.
pub const ENTRIES: &[PluginEntry] = &[
    #[cfg(feature = "console")]
    console::ENTRY,
    #[cfg(feature = "csv")]
    csv::INPUT,
    #[cfg(feature = "duckdb")]
    duckdb::ENTRY,
    #[cfg(feature = "faker")]
    faker::ENTRY,
    #[cfg(feature = "csv")]
    csv::OUTPUT,
    #[cfg(feature = "http")]
    http::INPUT,
    #[cfg(feature = "http")]
    http::WRITER,
    #[cfg(feature = "json")]
    json::INPUT,
    #[cfg(any(feature = "duckdb", feature = "mysql", feature = "postgres", feature = "sqlite"))]
    lookup::ENTRY,
    #[cfg(feature = "mysql")]
    mysql::INPUT,
    #[cfg(feature = "parquet")]
    parquet::INPUT,
    #[cfg(feature = "parquet")]
    parquet::OUTPUT,
    #[cfg(feature = "postgres")]
    postgres::INPUT,
    #[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
    cdc::ENTRY,
    #[cfg(feature = "mysql")]
    mysql::OUTPUT,
    #[cfg(feature = "postgres")]
    postgres::OUTPUT,
    #[cfg(feature = "sqlite")]
    sqlite::INPUT,
    #[cfg(feature = "sqlite")]
    sqlite::OUTPUT,
];
