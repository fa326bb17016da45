//! The entry of `Join`.

use aqueduct_model::{ChangeSupport, Operator, OperatorPlugin, PluginEntry, Properties, Result, operator};

use super::bounded::Bounded;
use super::changelog::ChangelogJoin;
use super::config::{JoinConfig, Kind, Mode};

/// The entry of `Join`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Join";
    const SUMMARY: &'static str = "Puts rows of two tables together that belong together.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = JoinConfig;

    fn properties(config: &JoinConfig) -> Properties {
        match config.mode {
            Mode::Changelog => Properties {
                inputs: (1, usize::MAX),
                stateful: true,
                blocking: true,
                // A row that finds its first partner takes back that it had none.
                emits_changes: config.kind != Kind::Inner,
                ..Properties::operator()
            },
            Mode::Bounded => Properties {
                inputs: (1, usize::MAX),
                changes: ChangeSupport::AppendOnly,
                needs_end: true,
                stateful: true,
                blocking: true,
                ..Properties::operator()
            },
        }
    }

    fn validate(config: &JoinConfig) -> Result<()> {
        config.check()
    }

    fn build(config: JoinConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        match config.mode {
            Mode::Bounded => Ok(Box::new(Bounded::new(config))),
            Mode::Changelog => Ok(Box::new(ChangelogJoin::new(config))),
        }
    }
}
