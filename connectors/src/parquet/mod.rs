//! Parquet files: `ParquetInput` reads them, `ParquetOutput` writes them.
//!
//! The reader goes through sorted files, row group by row group; a position is file, row group and row, and says
//! which file it means by size, time and a hash of the footer. The writer is a format of the staged file sink: an
//! epoch's files show together, exactly once. It does not merge small files and does not write partition folders.

mod config;
mod files;
mod filter;
mod inspect;
mod offset;
mod sink;
mod sink_config;
mod source;
mod table;

#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod tests;

use aqueduct_model::{
    ChangeSupport, Delivery, Inspect, PluginEntry, Properties, Result, Sink, SinkPlugin, Source, SourcePlugin, sink,
    source,
};

use self::config::ParquetInputConfig;
use self::inspect::ParquetInspect;
use self::sink_config::ParquetOutputConfig;
use self::source::ParquetSource;
use crate::staged_files::Mode;

/// `ParquetInput` in the catalogue.
pub const INPUT: PluginEntry = source::<ParquetInput>();
/// `ParquetOutput` in the catalogue.
pub const OUTPUT: PluginEntry = sink::<ParquetOutput>();

struct ParquetInput;

impl SourcePlugin for ParquetInput {
    const NAME: &'static str = "ParquetInput";
    const SUMMARY: &'static str =
        "Reads Parquet files: globs, chosen columns, comparisons that skip whole row groups, exact positions.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = ParquetInputConfig;

    fn properties(_: &ParquetInputConfig) -> Properties {
        Properties { blocking: true, ..Properties::source() }
    }

    fn validate(config: &ParquetInputConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: ParquetInputConfig) -> Result<Box<dyn Source>> {
        Ok(Box::new(ParquetSource::new(config)))
    }
}

struct ParquetOutput;

impl SinkPlugin for ParquetOutput {
    const NAME: &'static str = "ParquetOutput";
    const SUMMARY: &'static str = "Writes Parquet files, a folder per table: appended rows or a changelog, exactly once for readers of its manifest.";
    const NOTES: &'static str = include_str!("sink_notes.md");
    const EXAMPLE: &'static str = include_str!("sink_example.yaml");
    type Config = ParquetOutputConfig;

    fn properties(config: &ParquetOutputConfig) -> Properties {
        Properties {
            blocking: true,
            delivery: Delivery::ExactlyOnce,
            changes: match config.mode {
                Mode::Append => ChangeSupport::AppendOnly,
                Mode::Changelog => ChangeSupport::Changes,
            },
            ..Properties::sink()
        }
    }

    fn validate(config: &ParquetOutputConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: ParquetOutputConfig) -> Result<Box<dyn Sink>> {
        Ok(Box::new(sink::sink(config)))
    }

    fn inspect(config: ParquetOutputConfig) -> Option<Result<Box<dyn Inspect>>> {
        Some(Ok(Box::new(ParquetInspect::new(config))))
    }
}
