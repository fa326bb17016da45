//! `Duplicate` at work.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, ChangeSupport, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, OperatorPlugin,
    Output, OutputPort, PluginEntry, Properties, Result, SchemaChange, State, operator,
};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use async_trait::async_trait;

use super::bound::Bound;
use super::config::{DuplicateConfig, Keep};
use super::seen::Seen;
use crate::bindings::Bindings;
use crate::verdicts::reject;

/// The entry of `Duplicate`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// Where duplicates go.
const DUPLICATES: OutputPort = OutputPort(1);

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Duplicate";
    const SUMMARY: &'static str = "Removes duplicates by key, within a horizon of time or rows.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = DuplicateConfig;

    fn properties(config: &DuplicateConfig) -> Properties {
        let keeps_last = config.keep == Keep::Last;
        Properties {
            inputs: (1, usize::MAX),
            outputs: vec!["out".to_owned(), "duplicates".to_owned()],
            changes: ChangeSupport::AppendOnly,
            needs_end: keeps_last && config.horizon().is_none(),
            stateful: true,
            blocking: true,
            // Rows that are held come out in another epoch than they came in.
            cardinality: if keeps_last { Cardinality::Any } else { Cardinality::Filtering },
            ..Properties::operator()
        }
    }

    fn validate(config: &DuplicateConfig) -> Result<()> {
        config.check()
    }

    fn build(config: DuplicateConfig) -> Result<Box<dyn Operator>> {
        config.check()?;
        Ok(Box::new(Duplicate { config, bound: Bindings::default(), seen: None }))
    }
}

struct Duplicate {
    config: DuplicateConfig,
    bound: Bindings<Arc<Bound>>,
    seen: Option<Seen>,
}

#[async_trait]
impl Operator for Duplicate {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        let memory_bytes = self.config.state_memory.0 as usize;
        self.seen = Some(Seen::open(context, state.as_ref(), memory_bytes, self.config.horizon())?);
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        refuse_changes(&batch)?;
        let config = &self.config;
        let bound = self.bound.get(batch.relation(), || {
            Bound::new(batch.relation(), &config.by, config.keep == Keep::Last).map(Arc::new)
        })?;
        let (bound, seen) = (bound.clone(), opened(&mut self.seen)?);
        let times = times(config, &batch)?;
        if let Some((times, name)) = &times {
            let timeless = (0..times.len()).filter(|&i| times.is_null(i));
            let refused: Vec<(usize, String)> =
                timeless.map(|i| (i, format!("{name} is NULL, and has to say when"))).collect();
            reject(&batch, &refused, out)?;
        }
        let clock = Clock { times: times.map(|(times, _)| times), counts_rows: config.rows.is_some() };
        let (stay, go) = match config.keep {
            Keep::First => first(&bound, seen, &batch, &clock)?,
            Keep::Last => last(&bound, seen, &batch, &clock)?,
        };
        out.emit(OutputPort::MAIN, stay).await?;
        out.emit(DUPLICATES, go).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        opened(&mut self.seen)?.follow(&change)?;
        out.announce(DUPLICATES, change.clone()).await?;
        out.announce(OutputPort::MAIN, change).await
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        opened(&mut self.seen)?.snapshot()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.config.keep == Keep::First {
            return Ok(());
        }
        let seen = opened(&mut self.seen)?;
        for (table, relation) in seen.tables()? {
            let bound = Bound::new(&relation, &self.config.by, true)?;
            let mut behind = None;
            loop {
                let (rows, last) = seen.values(&table, behind)?;
                if rows.is_empty() {
                    break;
                }
                out.emit(OutputPort::MAIN, Batch::inserts(relation.clone(), bound.restored(&rows)?)?).await?;
                behind = last;
            }
        }
        Ok(())
    }
}

fn opened(seen: &mut Option<Seen>) -> Result<&mut Seen> {
    seen.as_mut().ok_or_else(|| Error::bug("duplicates before open"))
}

/// Refuses updates and deletes of a source that turns out to send them.
pub(crate) fn refuse_changes(batch: &Batch) -> Result<()> {
    if batch.is_append_only() && !batch.has_absent() {
        return Ok(());
    }
    let text = format!("an update or delete of {}: duplicates are removed of inserts only", batch.relation().name());
    Err(Error::new(ErrorKind::Data, text).with_hint("count rows per key of a changelog with a task `Group`"))
}

/// The times of the rows in microseconds, and the column's name.
fn times(config: &DuplicateConfig, batch: &Batch) -> Result<Option<(ArrayRef, String)>> {
    let Some(name) = &config.time_column else { return Ok(None) };
    let relation = batch.relation();
    let (index, field) = relation.column(name).map_err(|error| error.with_setting("time_column"))?;
    if !matches!(field.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) {
        return Err(Error::config(format!("{name} of {} is {}, and no time", relation.name(), field.data_type()))
            .with_setting("time_column")
            .with_hint(
                "name a column with dates or times; convert it before: `cast(… as timestamp)` in a task Mapping",
            ));
    }
    let zone = match field.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let micros = cast(batch.rows().column(index), &DataType::Timestamp(TimeUnit::Microsecond, zone));
    let ticks = micros.and_then(|micros| cast(&micros, &DataType::Int64));
    let ticks = ticks.map_err(|error| Error::bug("times are not numbers").with_source(error))?;
    Ok(Some((ticks, name.clone())))
}

/// What time it is at a row.
struct Clock {
    times: Option<ArrayRef>,
    counts_rows: bool,
}

impl Clock {
    /// The clock at row `i`, given what it was before; `None` for a row without a time.
    fn at(&self, i: usize, before: i64) -> Option<i64> {
        match &self.times {
            Some(times) => times.is_valid(i).then(|| times.as_primitive::<Int64Type>().value(i).max(before)),
            None if self.counts_rows => Some(before.max(-1) + 1),
            None => Some(0),
        }
    }
}

/// Rows of which the key was not seen within the horizon, and the others.
fn first(bound: &Bound, seen: &mut Seen, batch: &Batch, clock: &Clock) -> Result<(Batch, Batch)> {
    let keys = bound.keys(batch)?;
    let mut table = seen.table(bound)?;
    let (mut stay, mut go) = (vec![false; batch.num_rows()], vec![false; batch.num_rows()]);
    for i in 0..batch.num_rows() {
        let Some(now) = clock.at(i, table.clock) else { continue };
        table.clock = now;
        let (key, found) = (keys.row(i), seen.get(&table, keys.row(i).as_ref())?);
        if found.as_ref().is_some_and(|found| !seen.is_over(&table, found)) {
            go[i] = true;
            continue;
        }
        stay[i] = true;
        seen.put(&table, key.as_ref(), found.as_ref(), &[])?;
    }
    while !seen.expire(&table)?.is_empty() {}
    seen.put_table(batch.relation().name(), &table)?;
    Ok((batch.select(&BooleanArray::from(stay))?, batch.select(&BooleanArray::from(go))?))
}

/// Rows behind which no other of their key came within the horizon, and those behind which one did.
fn last(bound: &Bound, seen: &mut Seen, batch: &Batch, clock: &Clock) -> Result<(Batch, Batch)> {
    let (keys, rows) = (bound.keys(batch)?, bound.rows(batch)?);
    let mut table = seen.table(bound)?;
    let (mut stay, mut go) = (Vec::new(), Vec::new());
    for i in 0..batch.num_rows() {
        let Some(now) = clock.at(i, table.clock) else { continue };
        table.clock = now;
        let key = keys.row(i);
        let found = seen.get(&table, key.as_ref())?;
        seen.put(&table, key.as_ref(), found.as_ref(), rows.row(i).as_ref())?;
        if let Some(found) = found {
            if seen.is_over(&table, &found) { stay.push(found.value) } else { go.push(found.value) }
        }
    }
    loop {
        let over = seen.expire(&table)?;
        if over.is_empty() {
            break;
        }
        stay.extend(over);
    }
    seen.put_table(batch.relation().name(), &table)?;
    let batch_of = |rows: &[Vec<u8>]| Batch::inserts(batch.relation().clone(), bound.restored(rows)?);
    Ok((batch_of(&stay)?, batch_of(&go)?))
}
