//! `ColumnToRow`: one batch per column.

use aqueduct_model::{
    Batch, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort, PluginEntry, Properties, Result,
    SchemaChange, State, operator,
};
use arrow::array::BooleanArray;
use async_trait::async_trait;

use super::config::{ColumnToRowConfig, Nulls};
use super::layout::{Layout, decide};
use crate::bindings::Bindings;
use crate::verdicts::{Refused, Verdicts, reject};

/// The entry of `ColumnToRow`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "ColumnToRow";
    const SUMMARY: &'static str = "Makes a row of each of several columns (unpivot).";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = ColumnToRowConfig;

    fn properties(_: &ColumnToRowConfig) -> Properties {
        Properties { inputs: (1, usize::MAX), ..Properties::operator() }
    }

    fn validate(config: &ColumnToRowConfig) -> Result<()> {
        config.check()
    }

    fn build(config: ColumnToRowConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        Ok(Box::new(ColumnToRow { config, bound: Bindings::default() }))
    }
}

struct ColumnToRow {
    config: ColumnToRowConfig,
    bound: Bindings<Layout>,
}

#[async_trait]
impl Operator for ColumnToRow {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let config = &self.config;
        let layout = self.bound.get(batch.relation(), || Layout::new(config, batch.relation()))?;
        if config.nulls == Nulls::Keep {
            for (column, name) in &layout.columns {
                out.emit(OutputPort::MAIN, layout.rows_of(&batch, *column, name)?).await?;
            }
            return Ok(());
        }
        let mut decided = Vec::with_capacity(layout.columns.len());
        for (column, name) in &layout.columns {
            let rows = layout.rows_of(&batch, *column, name)?;
            let verdicts = decide(&rows, name);
            decided.push((rows, verdicts));
        }
        // A row is refused whole: the rest of it would be half a row downstream.
        let mut refused: Refused = decided.iter().flat_map(|(_, verdicts)| verdicts.refused.iter().cloned()).collect();
        refused.sort_by_key(|(row, _)| *row);
        refused.dedup_by_key(|(row, _)| *row);
        reject(&batch, &refused, out)?;
        for (rows, verdicts) in decided {
            let mut keep: Vec<bool> = verdicts.keep.values().iter().collect();
            refused.iter().for_each(|(row, _)| keep[*row] = false);
            let verdicts = Verdicts { keep: BooleanArray::from(keep), refused: refused.clone() };
            out.emit(OutputPort::MAIN, verdicts.apply(&rows)?).await?;
        }
        Ok(())
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let config = &self.config;
        let layout = self.bound.get(&change.relation, || Layout::new(config, &change.relation))?;
        match layout.translate(config, change.change) {
            Some(seen) => {
                let relation = layout.output.clone();
                out.announce(OutputPort::MAIN, SchemaChange { relation, change: seen, ..change }).await
            }
            None => Ok(()),
        }
    }
}
