//! `RowToColumn`: a changelog of rows that are made of rows.

use std::collections::BTreeMap;

use aqueduct_model::{
    Batch, Change, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort,
    PluginEntry, Properties, RelationName, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::{Emit, RowToColumnConfig};
use super::held::{Held, Kept};
use super::layout::Layout;
use super::pivot::apply;
use crate::bindings::Bindings;
use crate::verdicts::reject;

/// The entry of `RowToColumn`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// How many rows go out at a time when the input has ended.
const BATCH_ROWS: usize = 8_192;
/// The most tables of which rows are held.
const TABLES_MAX: usize = 100;

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "RowToColumn";
    const SUMMARY: &'static str = "Makes one row of several, a column for each of their names (pivot).";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = RowToColumnConfig;

    fn properties(config: &RowToColumnConfig) -> Properties {
        Properties {
            inputs: (1, usize::MAX),
            stateful: true,
            emits_changes: config.emit == Emit::Changes,
            needs_end: config.emit == Emit::AtEnd,
            ..Properties::operator()
        }
    }

    fn validate(config: &RowToColumnConfig) -> Result<()> {
        config.check()
    }

    fn build(config: RowToColumnConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        Ok(Box::new(RowToColumn { config, bound: Bindings::default(), held: BTreeMap::new() }))
    }
}

struct RowToColumn {
    config: RowToColumnConfig,
    bound: Bindings<Layout>,
    held: BTreeMap<RelationName, Held>,
}

#[async_trait]
impl Operator for RowToColumn {
    async fn open(&mut self, _context: &OperatorContext, state: Option<State>) -> Result<()> {
        let Some(state) = state.filter(|state| !state.0.is_empty()) else { return Ok(()) };
        let tables: Vec<Kept> = serde_json::from_slice(&state.0)
            .map_err(|error| Error::new(ErrorKind::State, "cannot read the state of a pivot").with_source(error))?;
        for kept in &tables {
            let held = Held::restore(kept)?;
            self.held.insert(held.output().name().clone(), held);
        }
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let config = &self.config;
        let name = batch.relation().name();
        let layout = self.bound.get(batch.relation(), || Layout::new(config, batch.relation()))?;
        if !self.held.contains_key(name) {
            if self.held.len() == TABLES_MAX {
                return Err(Error::new(ErrorKind::Data, format!("a pivot of more than {TABLES_MAX} tables"))
                    .with_hint("limit the task by `tables: […]`"));
            }
            self.held.insert(name.clone(), Held::new(&layout.output)?);
        }
        let held = self.held.get_mut(name).ok_or_else(|| Error::bug("a table was put in above"))?;
        held.follow(&layout.output)?;
        let (changed, refused) = apply(config, layout, held, &batch)?;
        reject(&batch, &refused, out)?;
        if changed.is_empty() || config.emit == Emit::AtEnd {
            return Ok(());
        }
        out.emit(OutputPort::MAIN, held.changes(&changed)?.with_ingested_at_ms(batch.ingested_at_ms())).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let config = &self.config;
        let layout = self.bound.get(&change.relation, || Layout::new(config, &change.relation))?;
        let relation = layout.output.clone();
        match &change.change {
            Change::Truncate | Change::DropTable => drop(self.held.remove(change.relation.name())),
            Change::RenameTable { from } => {
                if let Some(mut held) = self.held.remove(from) {
                    held.follow(&relation)?;
                    self.held.insert(change.relation.name().clone(), held);
                }
            }
            _ => {
                if let Some(held) = self.held.get_mut(change.relation.name()) {
                    held.follow(&relation)?;
                }
            }
        }
        let seen = match change.change {
            Change::AlterColumns(names) => {
                // A change of type has stopped the flow above; of what is left the values' columns see nothing.
                let key = relation.key_names();
                let seen: Vec<String> = names.into_iter().filter(|name| key.contains(&name.as_str())).collect();
                Some(seen).filter(|seen| !seen.is_empty()).map(Change::AlterColumns)
            }
            // The columns that are made do not change with the input's.
            Change::AddColumns(_) | Change::DropColumns(_) => None,
            Change::RenameColumn { from, to } => {
                relation.key_names().contains(&to.as_str()).then_some(Change::RenameColumn { from, to })
            }
            other => Some(other),
        };
        match seen {
            Some(seen) => {
                out.announce(OutputPort::MAIN, SchemaChange { relation, change: seen, statement: change.statement })
                    .await
            }
            None => Ok(()),
        }
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        let tables = self.held.values().map(Held::kept).collect::<Result<Vec<_>>>()?;
        let bytes = serde_json::to_vec(&tables)
            .map_err(|error| Error::bug("cannot write the state of a pivot").with_source(error))?;
        Ok(State(bytes))
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.config.emit == Emit::Changes {
            return Ok(());
        }
        for held in std::mem::take(&mut self.held).into_values() {
            let batch = held.all()?;
            for from in (0..batch.num_rows()).step_by(BATCH_ROWS) {
                let length = BATCH_ROWS.min(batch.num_rows() - from);
                out.emit(OutputPort::MAIN, batch.slice(from, length)).await?;
            }
        }
        Ok(())
    }
}
