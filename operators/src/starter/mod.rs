//! `Starter`: one row to begin with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aqueduct_model::{
    BadRows, Batch, Error, PluginEntry, PollBudget, Polled, Position, Properties, Relation, RelationName, Result,
    Source, SourceContext, SourcePlugin, source,
};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// The entry of `Starter`.
pub const ENTRY: PluginEntry = source::<Plugin>();

struct Plugin;

/// `Starter` has no settings it needs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StarterConfig {
    /// More columns: names with their values.
    #[serde(default)]
    pub columns: BTreeMap<String, Value>,
}

impl SourcePlugin for Plugin {
    const NAME: &'static str = "Starter";
    const SUMMARY: &'static str = "Begins a flow with one row: its parameters, its name, and when it was started.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = StarterConfig;

    fn properties(_: &StarterConfig) -> Properties {
        Properties::source()
    }

    fn validate(config: &StarterConfig) -> Result<()> {
        for (name, value) in &config.columns {
            if value.is_object() {
                return Err(Error::config(format!("the column `{name}` has a map as its value"))
                    .with_setting(format!("columns.{name}"))
                    .with_hint("write a text, a number, true or false"));
            }
        }
        Ok(())
    }

    fn build(config: StarterConfig) -> Result<Box<dyn Source>> {
        Ok(Box::new(Starter { config, context: SourceContext::default(), started_ms: 0, done: false }))
    }
}

struct Starter {
    config: StarterConfig,
    context: SourceContext,
    /// Part of the position: it stays what it was.
    started_ms: i64,
    done: bool,
}

impl Starter {
    fn row(&self) -> Result<Batch> {
        let flow = Arc::new(StringArray::from(vec![self.context.flow.clone()])) as ArrayRef;
        let started = Arc::new(TimestampMillisecondArray::from(vec![self.started_ms]).with_timezone("UTC")) as ArrayRef;
        let mut columns: Vec<(&str, ArrayRef)> = vec![("_flow", flow), ("_started_at", started)];
        let mut values: BTreeMap<&str, &Value> =
            self.context.params.iter().map(|(name, value)| (name.as_str(), value)).collect();
        values.extend(self.config.columns.iter().map(|(name, value)| (name.as_str(), value)));
        columns.extend(values.into_iter().map(|(name, value)| (name, column(std::slice::from_ref(value)))));
        batch("start", columns)
    }
}

#[async_trait]
impl Source for Starter {
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        self.context = context.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let kept =
            resume.and_then(|resume| resume.0.values().next()).map(|offset| offset.0.clone()).unwrap_or_default();
        self.started_ms = kept["started_ms"].as_i64().unwrap_or(now);
        self.done = kept["done"].as_bool().unwrap_or_default();
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        if self.done {
            return Ok(Polled::Finished);
        }
        if budget.until.as_ref() == self.position().as_ref() {
            return Ok(Polled::Idle);
        }
        self.done = true;
        self.row().map(Polled::Batch)
    }

    fn position(&self) -> Option<Position> {
        Some(Position::single("", json!({ "started_ms": self.started_ms, "done": self.done })))
    }
}

/// A column of values: numbers, flags or texts; of mixed kinds all are texts.
pub(crate) fn column(values: &[Value]) -> ArrayRef {
    let known = || values.iter().filter(|value| !value.is_null());
    if known().next().is_some() && known().all(Value::is_i64) {
        return Arc::new(values.iter().map(Value::as_i64).collect::<Int64Array>());
    }
    if known().next().is_some() && known().all(Value::is_number) {
        return Arc::new(values.iter().map(Value::as_f64).collect::<Float64Array>());
    }
    if known().next().is_some() && known().all(Value::is_boolean) {
        return Arc::new(values.iter().map(Value::as_bool).collect::<BooleanArray>());
    }
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().map(plain).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    };
    Arc::new(values.iter().map(text).collect::<StringArray>())
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Rows without a key.
pub(crate) fn batch(name: &str, columns: Vec<(&str, ArrayRef)>) -> Result<Batch> {
    let fields: Vec<Field> =
        columns.iter().map(|(name, cells)| Field::new(*name, cells.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let cells = columns.into_iter().map(|(_, cells)| cells).collect();
    let rows = RecordBatch::try_new(schema.clone(), cells)
        .map_err(|error| Error::bug("columns of different lengths").with_source(error))?;
    let relation = Relation::new(RelationName::table(name), schema, &[] as &[&str], 1)?;
    Batch::inserts(Arc::new(relation), rows)
}
