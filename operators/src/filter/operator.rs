//! `Filter`: an SQL condition over a changelog.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Change, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort, PluginEntry,
    Properties, Relation, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::FilterConfig;
use crate::bindings::Bindings;
use crate::predicate::Predicate;
use crate::sql::Expression;

/// The entry of `Filter`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Filter";
    const SUMMARY: &'static str = "Keeps the rows for which an SQL condition holds.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = FilterConfig;

    fn properties(_: &FilterConfig) -> Properties {
        Properties { inputs: (1, usize::MAX), cardinality: Cardinality::Filtering, ..Properties::operator() }
    }

    fn validate(config: &FilterConfig) -> Result<()> {
        Expression::parse(&config.condition).map(drop).map_err(|error| error.with_setting("where"))
    }

    fn build(config: FilterConfig) -> Result<Box<dyn Operator>> {
        let condition = Expression::parse(&config.condition).map_err(|error| error.with_setting("where"))?;
        Ok(Box::new(Filter { condition, bound: Bindings::default() }))
    }
}

struct Filter {
    condition: Expression,
    bound: Bindings<Predicate>,
}

impl Filter {
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<&Predicate> {
        let condition = &self.condition;
        self.bound.get(relation, || Predicate::bind(condition, relation).map_err(|error| error.with_setting("where")))
    }
}

#[async_trait]
impl Operator for Filter {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let verdicts = self.bind(batch.relation())?.decide(&batch)?;
        verdicts.reject(&batch, out)?;
        out.emit(OutputPort::MAIN, verdicts.apply(&batch)?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        // A condition that lost its column must stop the flow at the DDL, not at some later row.
        if change.change != Change::DropTable {
            self.bind(&change.relation)?;
        }
        out.announce(OutputPort::MAIN, change).await
    }
}
