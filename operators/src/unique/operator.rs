//! `Unique` at work.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, ChangeSupport, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, OperatorPlugin,
    Output, OutputPort, PluginEntry, Properties, Relation, Result, SchemaChange, State, operator,
};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;

use super::config::UniqueConfig;
use crate::bindings::Bindings;
use crate::duplicate::{Bound, Seen, refuse_changes};

/// The entry of `Unique`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// Where rows go that came before.
const ON_DUPLICATE: OutputPort = OutputPort(1);
/// How many rows go out at a time when the input has ended.
const BATCH_ROWS: usize = 8_192;

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Unique";
    const SUMMARY: &'static str = "Gives each row once, if wanted with how often it came.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = UniqueConfig;

    fn properties(config: &UniqueConfig) -> Properties {
        let counts = config.count_column.is_some();
        Properties {
            inputs: (1, usize::MAX),
            outputs: vec!["out".to_owned(), "on_duplicate".to_owned()],
            changes: ChangeSupport::AppendOnly,
            needs_end: counts,
            stateful: true,
            blocking: true,
            cardinality: if counts { Cardinality::Any } else { Cardinality::Filtering },
            ..Properties::operator()
        }
    }

    fn validate(config: &UniqueConfig) -> Result<()> {
        config.check()
    }

    fn build(config: UniqueConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        Ok(Box::new(Unique { config, bound: Bindings::default(), seen: None }))
    }
}

struct Unique {
    config: UniqueConfig,
    bound: Bindings<Arc<Bound>>,
    seen: Option<Seen>,
}

#[async_trait]
impl Operator for Unique {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        let memory_bytes = self.config.state_memory.0 as usize;
        self.seen = Some(Seen::open(context, state.as_ref(), memory_bytes, None)?);
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        refuse_changes(&batch)?;
        let (config, counts) = (&self.config, self.config.count_column.is_some());
        let bound = self.bound.get(batch.relation(), || {
            if let Some(column) = &config.count_column {
                counted(batch.relation(), column)?;
            }
            Bound::new(batch.relation(), &config.by, counts).map(Arc::new)
        })?;
        let (bound, seen) = (bound.clone(), opened(&mut self.seen)?);
        let is_new = note(&bound, seen, &batch, counts)?;
        let came_before = BooleanArray::from(is_new.iter().map(|is_new| !is_new).collect::<Vec<_>>());
        if !counts {
            out.emit(OutputPort::MAIN, batch.select(&BooleanArray::from(is_new))?).await?;
        }
        out.emit(ON_DUPLICATE, batch.select(&came_before)?).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        opened(&mut self.seen)?.follow(&change)?;
        out.announce(ON_DUPLICATE, change.clone()).await?;
        match &self.config.count_column {
            None => out.announce(OutputPort::MAIN, change).await,
            Some(column) => {
                let relation = counted(&change.relation, column)?;
                out.announce(OutputPort::MAIN, SchemaChange { relation, ..change }).await
            }
        }
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        opened(&mut self.seen)?.snapshot()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let Some(column) = &self.config.count_column else { return Ok(()) };
        let seen = opened(&mut self.seen)?;
        for (table, relation) in seen.tables()? {
            let bound = Bound::new(&relation, &self.config.by, true)?;
            let output = counted(&relation, column)?;
            let mut behind = None;
            loop {
                let (values, last) = seen.values(&table, behind)?;
                if values.is_empty() {
                    break;
                }
                for values in values.chunks(BATCH_ROWS) {
                    out.emit(OutputPort::MAIN, with_counts(&bound, &output, values)?).await?;
                }
                behind = last;
            }
        }
        Ok(())
    }
}

fn opened(seen: &mut Option<Seen>) -> Result<&mut Seen> {
    seen.as_mut().ok_or_else(|| Error::bug("unique rows before open"))
}

/// Remembers the rows of a batch; for each, whether it is new. With `counts`, the first is kept with how often it came.
fn note(bound: &Bound, seen: &mut Seen, batch: &Batch, counts: bool) -> Result<Vec<bool>> {
    let (keys, mut table) = (bound.keys(batch)?, seen.table(bound)?);
    table.clock = 0;
    let rows = if counts { Some(bound.rows(batch)?) } else { None };
    let mut is_new = vec![false; batch.num_rows()];
    for (i, is_new) in is_new.iter_mut().enumerate() {
        let key = keys.row(i);
        match (seen.get(&table, key.as_ref())?, &rows) {
            (None, None) => seen.put(&table, key.as_ref(), None, &[])?,
            (None, Some(rows)) => {
                let mut value = 1_i64.to_le_bytes().to_vec();
                value.extend_from_slice(rows.row(i).as_ref());
                seen.put(&table, key.as_ref(), None, &value)?;
            }
            (Some(_), None) => continue,
            (Some(mut found), Some(_)) => {
                let (count, _) = count_and_row(&found.value)?;
                found.value[..8].copy_from_slice(&(count + 1).to_le_bytes());
                seen.change(&table, key.as_ref(), &found)?;
                continue;
            }
        }
        *is_new = true;
    }
    Ok(is_new)
}

fn count_and_row(value: &[u8]) -> Result<(i64, &[u8])> {
    let parts = value.split_at_checked(8);
    let parts = parts.and_then(|(count, row)| Some((i64::from_le_bytes(count.try_into().ok()?), row)));
    parts.ok_or_else(|| {
        Error::new(ErrorKind::State, "what is kept of a row is not its count")
            .with_hint("put the settings back, or start over with `aqueduct checkpoint reset`")
    })
}

/// The table with the column of counts behind its own.
fn counted(relation: &Relation, column: &str) -> Result<Arc<Relation>> {
    if relation.columns().index_of(column).is_ok() {
        return Err(Error::config(format!("{} has a column {column} already", relation.name()))
            .with_setting("count_column")
            .with_hint(format!("name it otherwise: `count_column: {column}_count`")));
    }
    let fields = relation.columns().fields().iter().cloned();
    let count = Arc::new(Field::new(column, DataType::Int64, false));
    let columns = Schema::new(fields.chain([count]).collect::<Vec<_>>());
    let origins: Vec<Option<usize>> = (0..relation.columns().fields().len()).map(Some).chain([None]).collect();
    Ok(Arc::new(relation.derive(Arc::new(columns), &origins)))
}

fn with_counts(bound: &Bound, output: &Arc<Relation>, values: &[Vec<u8>]) -> Result<Batch> {
    let (mut counts, mut rows) = (Vec::new(), Vec::new());
    for value in values {
        let (count, row) = count_and_row(value)?;
        counts.push(count);
        rows.push(row.to_vec());
    }
    let rows = bound.restored(&rows)?;
    let counts: ArrayRef = Arc::new(Int64Array::from(counts));
    let columns = rows.columns().iter().cloned().chain([counts]).collect();
    let rows = RecordBatch::try_new(output.columns().clone(), columns)
        .map_err(|error| Error::bug("counts do not fit behind their rows").with_source(error))?;
    Batch::inserts(output.clone(), rows)
}
