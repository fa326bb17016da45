//! `Masking`: rules on columns.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Error, InputPort, Operator, OperatorContext, OperatorPlugin, Output, OutputPort, PluginEntry,
    Properties, Relation, Result, SchemaChange, State, operator,
};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;

use super::config::{MaskingConfig, Missing};
use super::rule::BoundRule;
use crate::bindings::Bindings;
use crate::projection::Projected;
use crate::verdicts::reject;

/// The entry of `Masking`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Masking";
    const SUMMARY: &'static str = "Hides personal data deterministically, so that joins still work.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = MaskingConfig;

    fn properties(_: &MaskingConfig) -> Properties {
        Properties { inputs: (1, usize::MAX), cardinality: Cardinality::OneToOne, ..Properties::operator() }
    }

    fn validate(config: &MaskingConfig) -> Result<()> {
        config.check()
    }

    fn build(config: MaskingConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        Ok(Box::new(Masking { config, bound: Bindings::default() }))
    }
}

struct Masking {
    config: MaskingConfig,
    bound: Bindings<Bound>,
}

/// The rules, bound to one relation.
struct Bound {
    output: Arc<Relation>,
    origins: Vec<Option<usize>>,
    /// The rules by column.
    rules: Vec<(usize, BoundRule)>,
}

impl Bound {
    fn new(config: &MaskingConfig, input: &Relation) -> Result<Self> {
        let mut fields: Vec<Field> = input.columns().fields().iter().map(|field| field.as_ref().clone()).collect();
        let mut rules = Vec::new();
        for (column, rule) in &config.columns {
            let failed = |error: Error| error.with_setting(format!("columns.{column}"));
            let Ok(index) = input.columns().index_of(column) else {
                if config.missing == Missing::Skip {
                    continue;
                }
                let error = Error::config(format!("{} has no column {column}", input.name()));
                let columns: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
                return Err(failed(error.with_hint(format!(
                    "correct the name, limit the task by `tables: […]`, or set `missing: skip`; columns are: {}",
                    columns.join(", ")
                ))));
            };
            let rule = BoundRule::bind(rule.as_ref(), input, index).map_err(failed)?;
            fields[index] = rule.field(&fields[index]);
            rules.push((index, rule));
        }
        let origins: Vec<Option<usize>> = (0..fields.len()).map(Some).collect();
        // A masked key is still the key: only rules that keep different keys different are let through.
        let output = Arc::new(input.derive(Arc::new(Schema::new(fields)), &origins));
        Ok(Self { output, origins, rules })
    }

    /// The masked rows, the refused ones among them: what is told of those must be masked too.
    fn apply(&self, batch: &Batch) -> Result<Projected> {
        let mut columns = batch.rows().columns().to_vec();
        let mut refused = Vec::new();
        for (index, rule) in &self.rules {
            columns[*index] = rule.apply(batch.rows(), *index, &mut refused)?;
        }
        refused.sort_by_key(|(row, _)| *row);
        refused.dedup_by_key(|(row, _)| *row);
        let rows = RecordBatch::try_new(self.output.columns().clone(), columns)
            .map_err(|error| Error::bug("masked columns do not fit their types").with_source(error))?;
        Ok(Projected { batch: batch.with_columns(self.output.clone(), rows, &self.origins)?, refused })
    }
}

#[async_trait]
impl Operator for Masking {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let config = &self.config;
        let masked = self.bound.get(batch.relation(), || Bound::new(config, batch.relation()))?.apply(&batch)?;
        reject(&masked.batch, &masked.refused, out)?;
        out.emit(OutputPort::MAIN, masked.accepted()?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let config = &self.config;
        let bound = self.bound.get(&change.relation, || Bound::new(config, &change.relation))?;
        let relation = bound.output.clone();
        out.announce(OutputPort::MAIN, SchemaChange { relation, ..change }).await
    }
}
