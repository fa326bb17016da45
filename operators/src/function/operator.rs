//! `Function`: one projection behind the other, each with one computed column more.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Change, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort, PluginEntry,
    Properties, Relation, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::{FunctionConfig, OnError};
use crate::bindings::Bindings;
use crate::projection::{Origin, Projected, Projection};
use crate::sql::Expression;
use crate::verdicts::{Refused, reject};

/// The entry of `Function`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Function";
    const SUMMARY: &'static str = "Computes columns by SQL expressions that may use each other.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = FunctionConfig;

    fn properties(_: &FunctionConfig) -> Properties {
        Properties { inputs: (1, usize::MAX), cardinality: Cardinality::OneToOne, ..Properties::operator() }
    }

    fn validate(config: &FunctionConfig) -> Result<()> {
        config.expressions().map(drop)
    }

    fn build(config: FunctionConfig) -> Result<Box<dyn Operator>> {
        let columns = config.expressions()?;
        Ok(Box::new(Function { columns, on_error: config.on_error, bound: Bindings::default() }))
    }
}

struct Function {
    columns: Vec<(String, Expression)>,
    on_error: OnError,
    bound: Bindings<Chain>,
}

/// The columns of one relation, in order; the last projection's relation is the output. Never empty.
struct Chain(Vec<Projection>);

impl Chain {
    fn bind(columns: &[(String, Expression)], relation: &Relation) -> Result<Self> {
        let mut chain: Vec<Projection> = Vec::with_capacity(columns.len());
        for (name, expression) in columns {
            let input = chain.last().map_or(relation, |projection| projection.output().as_ref());
            let next = append(name, expression, input).map_err(|error| error.with_setting(format!("columns.{name}")));
            chain.push(next?);
        }
        Ok(Self(chain))
    }

    fn apply(&self, batch: &Batch, on_error: OnError) -> Result<Projected> {
        let mut refused: Refused = Vec::new();
        let mut rows = batch.clone();
        for projection in &self.0 {
            let projected = projection.apply(&rows)?;
            rows = projected.batch;
            if on_error == OnError::Reject {
                refused.extend(projected.refused);
            }
        }
        // Sorting is stable: the reason of the first column that failed is the cause of the others.
        refused.sort_by_key(|(row, _)| *row);
        refused.dedup_by_key(|(row, _)| *row);
        Ok(Projected { batch: rows, refused })
    }

    fn translate(&self, relation: &Relation, change: &Change) -> Option<Change> {
        let mut input = relation;
        let mut seen = Some(change.clone());
        for projection in &self.0 {
            seen = seen.and_then(|change| projection.translate(input, &change, true));
            input = projection.output();
        }
        seen
    }
}

fn append(name: &str, expression: &Expression, input: &Relation) -> Result<Projection> {
    let fields = input.columns().fields();
    let mut columns: Vec<(String, Origin)> =
        fields.iter().enumerate().map(|(i, field)| (field.name().clone(), Origin::Column(i))).collect();
    let computed = Origin::from(expression.bind(input)?);
    match columns.iter_mut().find(|(known, _)| known == name) {
        Some((_, replaced)) => *replaced = computed,
        None => columns.push((name.to_owned(), computed)),
    }
    Projection::new(input, input.name().clone(), columns)
}

impl Function {
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<&Chain> {
        let columns = &self.columns;
        self.bound.get(relation, || Chain::bind(columns, relation))
    }
}

#[async_trait]
impl Operator for Function {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let on_error = self.on_error;
        let projected = self.bind(batch.relation())?.apply(&batch, on_error)?;
        reject(&batch, &projected.refused, out)?;
        out.emit(OutputPort::MAIN, projected.accepted()?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let chain = self.bind(&change.relation)?;
        let Some(seen) = chain.translate(&change.relation, &change.change) else { return Ok(()) };
        let relation = chain.0.last().map_or_else(|| change.relation.clone(), |last| last.output().clone());
        out.announce(OutputPort::MAIN, SchemaChange { relation, change: seen, ..change }).await
    }
}
