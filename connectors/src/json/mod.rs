//! JSON lines: `JSONInput` reads files with one object per line.
//!
//! Reading is that of [`text_files`](crate::text_files); what is JSON of it is here: [`syntax`] walks over values and
//! checks them (answers of HTTP services, too), [`scan`] turns a line into cells, one per wanted path, without copying what needs no unescaping,
//! [`tables`] knows which columns a table has and which lines are its rows.
//!
//! Numbers are never read as doubles on the way to another type: a cell keeps the text of the file. What is no JSON is
//! refused with file and line, never skipped.
//!
//! What it does not do: arrays are text, not nested columns; a file that is one large array is not read.

mod config;
mod infer;
mod scan;
mod syntax;
mod tables;
mod template;

#[cfg(test)]
mod tests;

use aqueduct_model::{PluginEntry, Properties, Result, Source, SourcePlugin, source};

#[cfg(feature = "http")]
pub(crate) use self::syntax::{DEPTH_MAX, Fault, Quoted, Walk, unescape};

use self::config::JsonInputConfig;
use self::tables::JsonTables;
use crate::text_files::TextSource;

/// `JSONInput` in the catalogue.
pub const INPUT: PluginEntry = source::<JsonInput>();

struct JsonInput;

impl SourcePlugin for JsonInput {
    const NAME: &'static str = "JSONInput";
    const SUMMARY: &'static str = "Reads JSON lines: globs, gz and zstd, given or inferred types, several tables in one file, and files that grow.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = JsonInputConfig;

    fn properties(config: &JsonInputConfig) -> Properties {
        Properties { blocking: true, unbounded: config.watch, ..Properties::source() }
    }

    fn validate(config: &JsonInputConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: JsonInputConfig) -> Result<Box<dyn Source>> {
        Ok(Box::new(TextSource::new(JsonTables::new(config)?)))
    }
}
