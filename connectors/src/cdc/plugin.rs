//! The plugin, and what the command line asks of a capture.

use aqueduct_model::{PluginEntry, Properties, Replay, Result, Source, SourcePlugin};

use crate::sqlite::cdc::{Scan, SqliteCapture};

use super::config::{CdcConfig, Engine, SnapshotMode};

pub use crate::sqlite::cdc::{Finding, remove_capture};

/// The catalogue entry.
pub(crate) const ENTRY: PluginEntry = aqueduct_model::source::<CdcInput>();

struct CdcInput;

impl SourcePlugin for CdcInput {
    const NAME: &'static str = "CdcInput";
    const SUMMARY: &'static str = "Reads a database's tables and then every change of them, by whole transactions.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = CdcConfig;

    fn properties(config: &CdcConfig) -> Properties {
        Properties {
            blocking: true,
            unbounded: config.snapshot != SnapshotMode::InitialOnly,
            emits_changes: true,
            replay: Replay::Exact,
            ..Properties::source()
        }
    }

    fn validate(config: &CdcConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: CdcConfig) -> Result<Box<dyn Source>> {
        match config.engine {
            Engine::Sqlite => Ok(Box::new(SqliteCapture::new(config.sqlite()))),
        }
    }

    fn scan(config: CdcConfig) -> Option<Result<Box<dyn Source>>> {
        match config.engine {
            Engine::Sqlite => Some(Ok(Box::new(Scan::new(config.sqlite())))),
        }
    }

    fn doctor(config: CdcConfig) -> Vec<aqueduct_model::Finding> {
        let found = check(config).into_iter();
        found.map(|Finding { ok, what, fix }| aqueduct_model::Finding { ok, what, fix }).collect()
    }
}

/// Looks at a database before anything is read or written: rights, settings, tables, log. Changes nothing.
pub fn check(config: CdcConfig) -> Vec<Finding> {
    match config.engine {
        Engine::Sqlite => crate::sqlite::cdc::check(&config.sqlite()),
    }
}
