//! CSV files: `CSVInput` reads them, `CSVOutput` writes them.
//!
//! Reading is that of [`text_files`](crate::text_files); what is CSV of it is here: [`tokenizer`] finds records and cells
//! without copying, [`tables`] and [`layout`] know which columns a file has and where.
//!
//! A position is exact to the row. What cannot be read is refused with file and line, never skipped.

mod config;
mod dialect;
mod layout;
mod sink;
mod sink_config;
mod sink_encode;
mod tables;
mod tokenizer;

#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod tests;

use aqueduct_model::{PluginEntry, Properties, Result, Source, SourcePlugin, source};

pub use self::sink::OUTPUT;

use self::config::CsvInputConfig;
use self::tables::Tables;
use crate::text_files::TextSource;

/// `CSVInput` in the catalogue.
pub const INPUT: PluginEntry = source::<CsvInput>();

struct CsvInput;

impl SourcePlugin for CsvInput {
    const NAME: &'static str = "CSVInput";
    const SUMMARY: &'static str =
        "Reads CSV files: globs, gz and zstd, any encoding, given or inferred types, and files that are still growing.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = CsvInputConfig;

    fn properties(config: &CsvInputConfig) -> Properties {
        Properties { blocking: true, unbounded: config.watch, ..Properties::source() }
    }

    fn validate(config: &CsvInputConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: CsvInputConfig) -> Result<Box<dyn Source>> {
        Ok(Box::new(TextSource::new(Tables::new(config)?)))
    }
}
