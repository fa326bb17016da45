//! `For`: its position is the number of the next item.

use aqueduct_model::{
    BadRows, Error, ErrorKind, PluginEntry, PollBudget, Polled, Position, Properties, Result, Source, SourceContext,
    SourcePlugin, source,
};
use async_trait::async_trait;
use serde_json::{Map, Value};

use super::config::{ForConfig, Sequence};
use crate::starter::{batch, column};

/// The entry of `For`.
pub const ENTRY: PluginEntry = source::<Plugin>();

struct Plugin;

impl SourcePlugin for Plugin {
    const NAME: &'static str = "For";
    const SUMMARY: &'static str = "Makes a row per item of a list, of a range of numbers, of days, or of a query.";
    const PLACED: Option<&'static str> = Some("query");
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = ForConfig;

    fn properties(_: &ForConfig) -> Properties {
        Properties::source()
    }

    fn validate(config: &ForConfig) -> Result<()> {
        Sequence::of(config).map(drop)
    }

    fn build(config: ForConfig) -> Result<Box<dyn Source>> {
        Ok(Box::new(For { sequence: Sequence::of(&config)?, column: config.column, next: 0 }))
    }
}

struct For {
    sequence: Sequence,
    column: String,
    next: u64,
}

#[async_trait]
impl Source for For {
    async fn open(&mut self, _: &SourceContext, resume: Option<&Position>) -> Result<()> {
        let Some(offset) = resume.and_then(|resume| resume.offset("")) else { return Ok(()) };
        self.next = offset.as_u64().filter(|next| *next <= self.sequence.len()).ok_or_else(|| {
            Error::new(ErrorKind::LostPosition, "there are fewer items now than were gone through already")
                .with_hint("put the items back, or start over with `aqueduct checkpoint reset`")
        })?;
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        let until = budget.until.as_ref().and_then(|until| until.offset("")).and_then(Value::as_u64);
        let end = self.sequence.len().min(self.next + budget.max_rows as u64).min(until.unwrap_or(u64::MAX));
        if self.next >= end {
            return Ok(if self.next >= self.sequence.len() { Polled::Finished } else { Polled::Idle });
        }
        let items: Vec<Map<String, Value>> = (self.next..end).map(|i| self.sequence.item(i, &self.column)).collect();
        self.next = end;
        let mut names: Vec<&str> = Vec::new();
        for name in items.iter().flat_map(Map::keys) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let cells = |name: &str| {
            column(&items.iter().map(|item| item.get(name).cloned().unwrap_or_default()).collect::<Vec<_>>())
        };
        batch("items", names.iter().map(|name| (*name, cells(name))).collect()).map(Polled::Batch)
    }

    fn position(&self) -> Option<Position> {
        Some(Position::single("", self.next.into()))
    }
}
