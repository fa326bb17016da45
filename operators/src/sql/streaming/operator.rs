//! `SQL` in mode `changelog`: the stages of a query, for the table that it names.

use aqueduct_model::{
    Batch, Build, Epoch, Error, InputPort, Operator, OperatorContext, Output, OutputPort, Relation, Result,
    SchemaChange, State, Watermark,
};
use async_trait::async_trait;

use super::chain::Chain;
use super::plan::Plan;
use crate::sql::config::{Others, SqlConfig};

/// The operator for such a query.
///
/// # Errors
/// `Config` when the query is none.
pub(in crate::sql) fn build(config: SqlConfig) -> Result<Box<dyn Operator>> {
    let plan = Plan::parse(&config.query).map_err(|error| error.with_setting("query"))?;
    Ok(Box::new(Streaming { plan, config, inputs: Vec::new(), chain: None }))
}

struct Streaming {
    plan: Plan,
    config: SqlConfig,
    inputs: Vec<String>,
    chain: Option<Chain>,
}

impl Streaming {
    fn names(&self, port: InputPort, relation: &Relation) -> bool {
        self.plan.source.names(relation, self.inputs.get(port.0).map_or("", String::as_str))
    }

    fn opened(&mut self) -> Result<&mut Chain> {
        self.chain.as_mut().ok_or_else(|| Error::bug("a query before open"))
    }
}

#[async_trait]
impl Operator for Streaming {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.inputs.clone_from(&context.inputs);
        let table = self.config.table.as_deref().unwrap_or(&context.task);
        let mut stages = Vec::new();
        for (entry, settings) in self.plan.stages(table, self.config.memory) {
            let Build::Operator { build } = entry.build else { return Err(Error::bug("a stage is an operator")) };
            stages.push(build(&settings)?);
        }
        let mut chain = Chain(stages);
        chain.open(context, state).await?;
        self.chain = Some(chain);
        Ok(())
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        match (self.names(port, batch.relation()), self.config.others) {
            (true, _) => self.opened()?.process(port, batch, out).await,
            (false, Others::Pass) => out.emit(OutputPort::MAIN, batch).await,
            (false, Others::Drop) => Ok(()),
        }
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        match (self.names(port, &change.relation), self.config.others) {
            (true, _) => self.opened()?.on_schema(port, change, out).await,
            (false, Others::Pass) => out.announce(OutputPort::MAIN, change).await,
            (false, Others::Drop) => Ok(()),
        }
    }

    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        self.opened()?.on_watermark(watermark, out).await
    }

    async fn snapshot(&mut self, epoch: Epoch) -> Result<State> {
        self.opened()?.snapshot(epoch).await
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.opened()?.finish(out).await
    }
}
