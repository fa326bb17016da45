//! `FakerInput`: generated rows, the same for the same seed.
//!
//! Guarantees: row `i` is a pure function of the seed and `i`, so a position is a number, going to it costs nothing,
//! and memory does not grow with the rows generated. With `changes: true` the same holds for whole lives of rows.
//!
//! It does not read anything, and its persons, numbers and cards do not exist.

mod changes;
mod config;
mod nexmark;
mod numbers;
mod people;
mod plan;
mod random;
mod rate;
mod shop;
mod source;
mod text;
mod words;

#[cfg(test)]
mod tests;

use aqueduct_model::{PluginEntry, Properties, Result, Source, SourcePlugin, source};

use self::config::FakerConfig;
use self::source::FakerSource;

/// `FakerInput` in the catalogue.
pub const ENTRY: PluginEntry = source::<FakerInput>();

struct FakerInput;

impl SourcePlugin for FakerInput {
    const NAME: &'static str = "FakerInput";
    const SUMMARY: &'static str =
        "Generates rows, a stream of changes, or Nexmark events: deterministic by seed, with an optional rate limit.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = FakerConfig;

    fn properties(config: &FakerConfig) -> Properties {
        Properties { unbounded: config.limit().is_none(), emits_changes: config.changes, ..Properties::source() }
    }

    fn validate(config: &FakerConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: FakerConfig) -> Result<Box<dyn Source>> {
        Ok(Box::new(FakerSource::new(&config)?))
    }
}
