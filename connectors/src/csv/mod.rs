//! CSV files: `CSVInput` reads them, `CSVOutput` writes them.
//!
//! The reader goes from bytes to Arrow in four steps, each in its own file: [`bytes`] opens, decompresses and decodes,
//! [`tokenizer`] finds records and cells without copying, [`reader`] keeps a window of the text and its offset,
//! [`decode`] makes typed columns. Around them [`tables`] knows columns, [`inventory`] knows whether a file is still the
//! same one, and [`source`] goes from file to file.
//!
//! A position is exact to the row. What cannot be read is refused with file and line, never skipped.

mod bytes;
mod config;
mod decode;
mod dialect;
mod files;
mod infer;
mod inventory;
mod layout;
mod number;
mod offset;
mod parse;
mod reader;
mod records;
mod refused;
mod sink;
mod sink_config;
mod sink_encode;
mod source;
mod tables;
mod tokenizer;

#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod tests;

use aqueduct_model::{PluginEntry, Properties, Result, Source, SourcePlugin, source};

pub use self::sink::OUTPUT;

use self::config::CsvInputConfig;
use self::source::CsvSource;

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
        Ok(Box::new(CsvSource::new(config)?))
    }
}
