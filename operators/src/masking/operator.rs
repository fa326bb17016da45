//! `Masking`: rules on columns, as a transform.

use std::sync::Arc;

use aqueduct_model::{
    Applied, BoundTransform, Cardinality, Error, Operator, OperatorPlugin, PluginEntry, Properties, Relation, Result,
    Stateless, Transform, operator,
};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};

use super::config::{MaskingConfig, Missing};
use super::rule::BoundRule;

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
        Ok(Box::new(Stateless::new(Masking(config))))
    }
}

struct Masking(MaskingConfig);

/// The rules, bound to one relation.
struct Bound {
    output: Arc<Relation>,
    origins: Vec<Option<usize>>,
    /// The rules by column.
    rules: Vec<(usize, BoundRule)>,
}

impl Transform for Masking {
    fn bind(&self, input: &Relation) -> Result<Box<dyn BoundTransform>> {
        let mut fields: Vec<Field> = input.columns().fields().iter().map(|field| field.as_ref().clone()).collect();
        let mut rules = Vec::new();
        for (column, rule) in &self.0.columns {
            let failed = |error: Error| error.with_setting(format!("columns.{column}"));
            let Ok(index) = input.columns().index_of(column) else {
                if self.0.missing == Missing::Skip {
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
        Ok(Box::new(Bound { output, origins, rules }))
    }
}

impl BoundTransform for Bound {
    fn output(&self) -> &Arc<Relation> {
        &self.output
    }

    fn origins(&self) -> &[Option<usize>] {
        &self.origins
    }

    fn apply(&self, rows: &RecordBatch) -> Result<Applied> {
        let mut columns = rows.columns().to_vec();
        for (index, rule) in &self.rules {
            columns[*index] = rule.apply(rows, *index)?;
        }
        let rows = RecordBatch::try_new(self.output.columns().clone(), columns)
            .map_err(|error| Error::bug("masked columns do not fit their types").with_source(error))?;
        Ok(Applied { rows, rejected: Vec::new() })
    }
}
