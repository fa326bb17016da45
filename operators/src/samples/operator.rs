//! `Samples`: a part of the rows.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Cardinality, Change, ChangeSupport, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext,
    OperatorPlugin, Output, OutputPort, PluginEntry, Properties, Relation, Result, SchemaChange, State, operator,
};
use async_trait::async_trait;

use super::config::{Bernoulli, SamplesConfig, Take};
use super::passing::{Counts, by_hash, deciding};
use super::reservoir::Tables;
use crate::bindings::Bindings;
use crate::verdicts::reject;

/// The entry of `Samples`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Samples";
    const SUMMARY: &'static str = "Takes a part of the rows: the first, every n-th, by chance, or some of each group.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = SamplesConfig;

    fn properties(config: &SamplesConfig) -> Properties {
        let by_key = matches!(config.take, Take::Bernoulli(_));
        let needs_end = config.take.needs_end();
        Properties {
            inputs: (1, usize::MAX),
            changes: if by_key { ChangeSupport::Changes } else { ChangeSupport::AppendOnly },
            needs_end,
            stateful: !by_key,
            // Rows that are held come out in another epoch than they came in.
            cardinality: if needs_end { Cardinality::Any } else { Cardinality::Filtering },
            ..Properties::operator()
        }
    }

    fn validate(config: &SamplesConfig) -> Result<()> {
        config.take.check()
    }

    fn build(config: SamplesConfig) -> Result<Box<dyn Operator>> {
        config.take.check()?;
        let seed = config.seed;
        Ok(match config.take {
            Take::First(rows) => Box::new(Counted { count: Count::First(rows), counts: Counts::default() }),
            Take::Every(step) => Box::new(Counted { count: Count::Every(step), counts: Counts::default() }),
            Take::Bernoulli(bernoulli) => Box::new(ByHash { bernoulli, seed, bound: Bindings::default() }),
            Take::Reservoir(reservoir) => Box::new(AtEnd(Tables::new(Vec::new(), reservoir.rows, seed))),
            Take::Stratified(stratified) => Box::new(AtEnd(Tables::new(stratified.by, stratified.rows, seed))),
        })
    }
}

/// Refuses updates and deletes, and a source that turns out to send them.
fn inserts_only(batch: &Batch) -> Result<()> {
    if batch.is_append_only() {
        return Ok(());
    }
    let text = format!("this sample takes inserts only, but updates or deletes of {} came in", batch.relation().name());
    Err(Error::new(ErrorKind::Config, text)
        .with_setting("take")
        .with_hint("use `take: { bernoulli: { percent: 5 } }`: it follows a row by its key"))
}

enum Count {
    First(u64),
    Every(u64),
}

/// Rows by their number.
struct Counted {
    count: Count,
    counts: Counts,
}

#[async_trait]
impl Operator for Counted {
    async fn open(&mut self, _context: &OperatorContext, state: Option<State>) -> Result<()> {
        if let Some(state) = state {
            self.counts = Counts::restore(&state)?;
        }
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        inserts_only(&batch)?;
        let taken = match self.count {
            Count::First(rows) => self.counts.first(&batch, rows)?,
            Count::Every(step) => self.counts.every(&batch, step)?,
        };
        out.emit(OutputPort::MAIN, taken).await
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        self.counts.state()
    }
}

/// Rows by their key.
struct ByHash {
    bernoulli: Bernoulli,
    seed: u64,
    bound: Bindings<Vec<usize>>,
}

impl ByHash {
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<&[usize]> {
        let bernoulli = &self.bernoulli;
        let bind = || deciding(bernoulli, relation).map_err(|error| error.with_setting("take.bernoulli.by"));
        self.bound.get(relation, bind).map(Vec::as_slice)
    }
}

#[async_trait]
impl Operator for ByHash {
    async fn open(&mut self, _context: &OperatorContext, _state: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let (percent, seed) = (self.bernoulli.percent, self.seed);
        let (taken, refused) = by_hash(&batch, self.bind(batch.relation())?, percent, seed)?;
        reject(&batch, &refused, out)?;
        out.emit(OutputPort::MAIN, taken).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        // A column that decides and is gone must stop the flow at the DDL, not at some later row.
        if change.change != Change::DropTable {
            self.bind(&change.relation)?;
        }
        out.announce(OutputPort::MAIN, change).await
    }
}

/// Rows that are given when the input ends.
struct AtEnd(Tables);

#[async_trait]
impl Operator for AtEnd {
    async fn open(&mut self, _context: &OperatorContext, state: Option<State>) -> Result<()> {
        state.iter().try_for_each(|state| self.0.restore(state))
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, _out: &mut dyn Output) -> Result<()> {
        inserts_only(&batch)?;
        if batch.has_absent() {
            let text = format!("the source did not send all values of new rows of {}", batch.relation().name());
            return Err(Error::new(ErrorKind::Data, text)
                .with_hint("have it send full rows, or use `bernoulli`, which passes on what it got"));
        }
        self.0.take_in(&batch)
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        self.0.on_schema(&change)?;
        out.announce(OutputPort::MAIN, change).await
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        self.0.state()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.0.finish(out).await
    }
}
