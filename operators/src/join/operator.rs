//! The entry of `Join`.

use aqueduct_model::{ChangeSupport, Operator, OperatorPlugin, PluginEntry, Properties, Result, operator};

use super::bounded::Bounded;
use super::changelog::ChangelogJoin;
use super::config::{JoinConfig, Kind, Mode};
use super::timed;
use crate::window::Late;

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
        let both = Properties { inputs: (1, usize::MAX), stateful: true, blocking: true, ..Properties::operator() };
        if config.is_timed() {
            let mut outputs = vec!["out".to_owned()];
            outputs.extend((config.late == Late::Port).then(|| "late".to_owned()));
            let changes = ChangeSupport::AppendOnly;
            return Properties { outputs, changes, needs_event_time: true, ..both };
        }
        match config.mode() {
            // A row that finds its first partner takes back that it had none.
            Mode::Changelog => Properties { emits_changes: config.kind != Kind::Inner, ..both },
            Mode::Bounded => Properties { changes: ChangeSupport::AppendOnly, needs_end: true, ..both },
        }
    }

    fn validate(config: &JoinConfig) -> Result<()> {
        config.check()
    }

    fn build(config: JoinConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        match config.mode() {
            _ if config.is_timed() => timed::build(config),
            Mode::Bounded => Ok(Box::new(Bounded::new(config))),
            Mode::Changelog => Ok(Box::new(ChangelogJoin::new(config))),
        }
    }
}
