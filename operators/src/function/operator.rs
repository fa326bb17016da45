//! `Function`: one step behind the other, each with its computed columns more.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Change, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort, PluginEntry,
    Properties, Relation, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::component::BoundComponent;
use super::config::{FunctionConfig, OnError, Step};
use super::script::BoundScript;
use crate::bindings::Bindings;
use crate::projection::{Origin, Projected, Projection};
use crate::sql::Expression;
use crate::verdicts::{Refused, reject};

/// The entry of `Function`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Function";
    const SUMMARY: &'static str =
        "Computes columns by SQL expressions, scripts and WebAssembly components that may use each other.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = FunctionConfig;

    fn properties(config: &FunctionConfig) -> Properties {
        Properties {
            inputs: (1, usize::MAX),
            cardinality: Cardinality::OneToOne,
            blocking: config.may_be_slow(),
            ..Properties::operator()
        }
    }

    fn validate(config: &FunctionConfig) -> Result<()> {
        config.steps().map(drop)
    }

    fn build(config: FunctionConfig) -> Result<Box<dyn Operator>> {
        let steps = config.steps()?;
        Ok(Box::new(Function { steps, on_error: config.on_error, bound: Bindings::default() }))
    }
}

struct Function {
    steps: Vec<Step>,
    on_error: OnError,
    bound: Bindings<Chain>,
}

/// A step that knows its input's columns.
enum Link {
    Sql(Projection),
    Script(Box<BoundScript>),
    Component(Box<BoundComponent>),
}

impl Link {
    fn bind(step: &Step, input: &Relation) -> Result<Self> {
        match step {
            Step::Sql(name, expression) => {
                let appended = append(name, expression, input);
                appended.map(Self::Sql).map_err(|error| error.with_setting(format!("columns.{name}")))
            }
            Step::Script(script) => Ok(Self::Script(Box::new(script.bind(input)?))),
            Step::Component(component) => Ok(Self::Component(Box::new(component.bind(input)?))),
        }
    }

    fn output(&self) -> &Arc<Relation> {
        match self {
            Self::Sql(projection) => projection.output(),
            Self::Script(script) => script.output(),
            Self::Component(component) => component.output(),
        }
    }

    fn apply(&self, batch: &Batch) -> Result<Projected> {
        match self {
            Self::Sql(projection) => projection.apply(batch),
            Self::Script(script) => script.apply(batch),
            Self::Component(component) => component.apply(batch),
        }
    }

    fn translate(&self, input: &Relation, change: &Change) -> Option<Change> {
        match self {
            Self::Sql(projection) => projection.translate(input, change, true),
            Self::Script(script) => script.translate(input, change),
            Self::Component(component) => component.translate(input, change),
        }
    }
}

/// The steps over one relation, in order; the last one's relation is the output. Never empty.
struct Chain(Vec<Link>);

impl Chain {
    fn bind(steps: &[Step], relation: &Relation) -> Result<Self> {
        let mut chain: Vec<Link> = Vec::with_capacity(steps.len());
        for step in steps {
            let input = chain.last().map_or(relation, |link| link.output().as_ref());
            let next = Link::bind(step, input)?;
            chain.push(next);
        }
        Ok(Self(chain))
    }

    fn apply(&self, batch: &Batch, on_error: OnError) -> Result<Projected> {
        let mut refused: Refused = Vec::new();
        let mut rows = batch.clone();
        for link in &self.0 {
            let projected = link.apply(&rows)?;
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
        for link in &self.0 {
            seen = seen.and_then(|change| link.translate(input, &change));
            input = link.output();
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
        let steps = &self.steps;
        self.bound.get(relation, || Chain::bind(steps, relation))
    }
}

#[async_trait]
impl Operator for Function {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        for step in &mut self.steps {
            if let Step::Component(component) = step {
                component.load()?;
            }
        }
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
