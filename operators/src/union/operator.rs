//! `Union`: many inputs, one stream.

use aqueduct_model::{
    Batch, Cardinality, Change, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, OperatorPlugin, Output,
    OutputPort, PluginEntry, Properties, Relation, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::UnionConfig;
use super::merged::Merged;
use crate::bindings::Bindings;

/// The entry of `Union`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Union";
    const SUMMARY: &'static str = "Merges inputs into one stream, or several tables into one table.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = UnionConfig;

    fn properties(config: &UnionConfig) -> Properties {
        Properties {
            inputs: (1, usize::MAX),
            stateful: config.table.is_some(),
            cardinality: Cardinality::OneToOne,
            ..Properties::operator()
        }
    }

    fn validate(config: &UnionConfig) -> Result<()> {
        config.check()
    }

    fn build(config: UnionConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        Ok(match config.table.clone() {
            None => Box::new(Side),
            Some(table) => Box::new(OneTable { merged: Merged::new(&config, table), seen: Bindings::default() }),
        })
    }
}

/// Tables pass side by side.
struct Side;

#[async_trait]
impl Operator for Side {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        out.emit(OutputPort::MAIN, batch).await
    }
}

/// All tables become one.
struct OneTable {
    merged: Merged,
    /// The relations that were taken in already.
    seen: Bindings<()>,
}

impl OneTable {
    async fn take_in(&mut self, relation: &std::sync::Arc<Relation>, out: &mut dyn Output) -> Result<()> {
        let mut changes = Vec::new();
        let merged = &mut self.merged;
        self.seen.get(relation, || {
            changes = merged.take_in(relation)?;
            Ok(())
        })?;
        for (relation, change) in changes {
            out.announce(OutputPort::MAIN, SchemaChange::new(relation, change)).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Operator for OneTable {
    async fn open(&mut self, _context: &OperatorContext, state: Option<State>) -> Result<()> {
        state.iter().try_for_each(|state| self.merged.restore(state))
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        self.take_in(batch.relation(), out).await?;
        out.emit(OutputPort::MAIN, self.merged.merge(&batch)?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        match change.change {
            // The rows of the others stay, and so does the merged table.
            Change::DropTable => Ok(()),
            Change::Truncate => Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "{} was truncated, and the rows that it has in the merged table cannot be told apart",
                    change.relation.name()
                ),
            )
            .with_hint(
                "delete its rows at the target and reset the flow's checkpoint, or give each table a target of its own",
            )),
            _ => self.take_in(&change.relation, out).await,
        }
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        self.merged.state()
    }
}
