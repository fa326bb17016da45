//! `SQL` for queries that need all rows.

use aqueduct_model::{
    Batch, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, Output, OutputPort, RelationName, Result,
    SchemaChange, State,
};
use async_trait::async_trait;

use super::super::config::{Others, SqlConfig};
use super::query::WholeQuery;
use super::work::{Target, Work, all_known};

/// The operator for such a query.
///
/// # Errors
/// `Config` when the query is none.
pub(in super::super) fn build(config: SqlConfig) -> Result<Box<dyn Operator>> {
    let query = WholeQuery::parse(&config.query).map_err(|error| error.with_setting("query"))?;
    Ok(Box::new(Whole { query, config, task: String::new(), work: None }))
}

struct Whole {
    query: WholeQuery,
    config: SqlConfig,
    task: String,
    work: Option<Work>,
}

#[async_trait]
impl Operator for Whole {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.task.clone_from(&context.task);
        self.work = Some(Work::open(context, state.as_ref(), self.config.memory)?);
        Ok(())
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let (query, others) = (&self.query, self.config.others);
        let work = opened(&mut self.work)?;
        if !query.names(batch.relation().name(), work.input(port.0)) {
            return if others == Others::Pass { out.emit(OutputPort::MAIN, batch).await } else { Ok(()) };
        }
        let is_new = work.keep(port.0, &batch, &|column| query.uses(column))?;
        if is_new { self.check() } else { Ok(()) }
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let (query, others) = (&self.query, self.config.others);
        let work = opened(&mut self.work)?;
        if !query.names(change.relation.name(), work.input(port.0)) {
            return if others == Others::Pass { out.announce(OutputPort::MAIN, change).await } else { Ok(()) };
        }
        let is_new = work.follow(port.0, &change, &|column| query.uses(column))?;
        if is_new { self.check() } else { Ok(()) }
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        opened(&mut self.work)?.snapshot()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let work = opened(&mut self.work)?;
        let tables = all_known(work.tables(&self.query, &self.config.columns).map_err(of_query)?)?;
        let name = match (&self.config.table, tables.as_slice()) {
            (Some(table), _) => RelationName::table(table),
            (None, [(relation, _)]) => relation.name().clone(),
            (None, _) => RelationName::table(&self.task),
        };
        let target = Target { name, key: self.config.key.clone(), version: 1 };
        work.run(&self.query, tables, &target, out).await.map_err(of_query)
    }
}

impl Whole {
    /// Looks at the query as soon as all its tables are known, so that a mistake does not come out at the end only.
    fn check(&mut self) -> Result<()> {
        let tables = opened(&mut self.work)?.tables(&self.query, &self.config.columns).map_err(of_query)?;
        let known: Option<Vec<_>> = tables.into_iter().map(|(_, input)| input).collect();
        known.map_or(Ok(()), |tables| self.query.columns(&tables).map(drop).map_err(of_query))
    }
}

/// What is wrong with settings is wrong with the query, where nothing else is named.
fn of_query(error: Error) -> Error {
    if error.kind() == ErrorKind::Config { error.with_setting("query") } else { error }
}

fn opened(work: &mut Option<Work>) -> Result<&mut Work> {
    work.as_mut().ok_or_else(|| Error::bug("a query before open"))
}
