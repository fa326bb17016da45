//! `SQL`: a stateless query over a changelog; queries of all rows are in `whole`.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, ChangeSupport, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort,
    PluginEntry, Properties, Relation, RelationName, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::{Others, SqlConfig};
use super::query::Query;
use super::streaming::{self, Plan};
use super::whole;
use crate::bindings::Bindings;
use crate::predicate::Predicate;
use crate::projection::{Origin, Projection};
use crate::verdicts::reject;

/// The entry of `SQL`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "SQL";
    const SUMMARY: &'static str = "Runs an SQL query: row by row over a stream, or over all rows of bounded inputs.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = SqlConfig;

    fn properties(config: &SqlConfig) -> Properties {
        // What cannot be read is told by `validate`.
        if config.is_streaming().unwrap_or(false) {
            let is_windowed = Plan::parse(&config.query).is_ok_and(|plan| plan.has_windows());
            return Properties {
                inputs: (1, usize::MAX),
                emits_changes: !is_windowed,
                needs_event_time: is_windowed,
                stateful: true,
                blocking: true,
                ..Properties::operator()
            };
        }
        if Query::needs_all_rows(&config.query).unwrap_or(false) {
            return Properties {
                inputs: (1, usize::MAX),
                changes: ChangeSupport::AppendOnly,
                needs_end: true,
                stateful: true,
                blocking: true,
                ..Properties::operator()
            };
        }
        Properties { inputs: (1, usize::MAX), cardinality: Cardinality::Filtering, ..Properties::operator() }
    }

    fn validate(config: &SqlConfig) -> Result<()> {
        config.check()
    }

    fn build(config: SqlConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        if config.is_streaming()? {
            return streaming::build(config);
        }
        if Query::needs_all_rows(&config.query)? {
            return whole::build(config);
        }
        let query = Query::parse(&config.query).map_err(|error| error.with_setting("query"))?;
        Ok(Box::new(Sql { query, config, inputs: Vec::new(), bound: Bindings::default() }))
    }
}

struct Sql {
    query: Query,
    config: SqlConfig,
    inputs: Vec<String>,
    bound: Bindings<Bound>,
}

/// The query, bound to one relation.
struct Bound {
    condition: Option<Predicate>,
    /// Only the columns that are selected: the others are not worth filtering.
    narrow: Projection,
    columns: Projection,
}

impl Bound {
    fn new(query: &Query, relation: &Relation, table: Option<&str>) -> Result<Self> {
        let columns = query.columns(relation)?;
        let used = |index: usize| columns.iter().any(|(_, origin)| origin.columns().contains(&index));
        let mut kept: Vec<usize> = (0..relation.columns().fields().len()).filter(|&index| used(index)).collect();
        // A query of constants needs some column to know how many rows there are.
        if kept.is_empty() {
            kept.extend((!relation.columns().fields().is_empty()).then_some(0));
        }
        let fields = relation.columns().fields();
        let narrow = kept.iter().map(|&index| (fields[index].name().clone(), Origin::Column(index))).collect();
        let narrow = Projection::new(relation, relation.name().clone(), narrow)?;
        let columns = columns.into_iter().map(|(name, origin)| Ok((name, origin.narrowed(&kept)?)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let name = table.map_or_else(|| relation.name().clone(), RelationName::table);
        let columns = Projection::new(narrow.output(), name, columns)?;
        Ok(Self { condition: query.condition(relation)?, narrow, columns })
    }

    /// The output rows of a batch; bad rows go to `out`.
    fn apply(&self, batch: &Batch, out: &mut dyn Output) -> Result<Batch> {
        let narrow = self.narrow.apply(batch)?.batch;
        let Some(condition) = &self.condition else {
            let projected = self.columns.apply(&narrow)?;
            reject(batch, &projected.refused, out)?;
            return projected.accepted();
        };
        let verdicts = condition.decide(batch)?;
        verdicts.reject(batch, out)?;
        let projected = self.columns.apply(&verdicts.apply(&narrow)?)?;
        if !projected.refused.is_empty() {
            let rows = verdicts.rows(batch);
            let whole: Vec<_> = projected.refused.iter().map(|(row, reason)| (rows[*row], reason.clone())).collect();
            reject(batch, &whole, out)?;
        }
        projected.accepted()
    }
}

#[async_trait]
impl Operator for Sql {
    async fn open(&mut self, context: &OperatorContext, _state: Option<State>) -> Result<()> {
        self.inputs.clone_from(&context.inputs);
        Ok(())
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        if !self.names(port, batch.relation()) {
            return match self.config.others {
                Others::Pass => out.emit(OutputPort::MAIN, batch).await,
                Others::Drop => Ok(()),
            };
        }
        let output = self.bind(batch.relation())?.apply(&batch, out)?;
        out.emit(OutputPort::MAIN, output).await
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        if !self.names(port, &change.relation) {
            return match self.config.others {
                Others::Pass => out.announce(OutputPort::MAIN, change).await,
                Others::Drop => Ok(()),
            };
        }
        let follows = self.query.follows();
        let bound = self.bind(&change.relation)?;
        match bound.columns.translate(bound.narrow.output(), &change.change, follows) {
            Some(translated) => {
                let relation = bound.columns.output().clone();
                out.announce(OutputPort::MAIN, SchemaChange { relation, change: translated, ..change }).await
            }
            None => Ok(()),
        }
    }
}

impl Sql {
    fn names(&self, port: InputPort, relation: &Relation) -> bool {
        self.query.names(relation, self.inputs.get(port.0).map_or("", String::as_str))
    }

    fn bind(&mut self, relation: &Arc<Relation>) -> Result<&Bound> {
        let (query, table) = (&self.query, self.config.table.as_deref());
        self.bound.get(relation, || Bound::new(query, relation, table).map_err(|error| error.with_setting("query")))
    }
}
