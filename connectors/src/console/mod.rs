//! `ConsoleOutput`: rows on standard output, for people.
//!
//! Nothing is promised: after a crash rows may be printed twice. What the rows hold cannot steer the terminal or forge
//! lines: control characters are printed as escapes.

mod config;
mod render;
mod sink;

#[cfg(test)]
mod tests;

use aqueduct_model::{Delivery, PluginEntry, Properties, Result, Sink, SinkPlugin, sink};

use self::config::ConsoleConfig;
use self::sink::ConsoleSink;

/// `ConsoleOutput` in the catalogue.
pub const ENTRY: PluginEntry = sink::<ConsoleOutput>();

struct ConsoleOutput;

impl SinkPlugin for ConsoleOutput {
    const NAME: &'static str = "ConsoleOutput";
    const SUMMARY: &'static str = "Prints rows on standard output as a table, JSON lines or a changelog.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = ConsoleConfig;

    fn properties(_config: &ConsoleConfig) -> Properties {
        Properties {
            blocking: true,
            delivery: Delivery::BestEffort,
            delivery_reason: Some(
                "what was printed cannot be taken back; write to a database or file instead".to_owned(),
            ),
            ..Properties::sink()
        }
    }

    fn validate(config: &ConsoleConfig) -> Result<()> {
        config.validate()
    }

    fn build(config: ConsoleConfig) -> Result<Box<dyn Sink>> {
        Ok(Box::new(ConsoleSink::new(config, Box::new(std::io::stdout()))))
    }
}
