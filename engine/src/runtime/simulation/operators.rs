//! Operators on the pretend disk.

use std::collections::{BTreeMap, VecDeque};

use aqueduct_model::*;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::disk::{Change, END, Outside};
use super::plugins::{batch, changes_of};
use super::random::Random;

/// Passes rows on, and gives one of its own when its inputs end: how many there were. Its state is the number that it
/// expects next of every table.
pub(super) struct Counter {
    outside: Outside,
    name: String,
    next: BTreeMap<String, i64>,
}

impl Counter {
    pub(super) fn new(outside: Outside, name: &str) -> Self {
        Self { outside, name: name.to_owned(), next: BTreeMap::new() }
    }
}

fn read<'a, T: Deserialize<'a>>(state: &'a State) -> Result<T> {
    serde_json::from_slice(&state.0).map_err(|error| Error::bug("state").with_source(error))
}

fn write(state: &impl Serialize) -> State {
    State(serde_json::to_vec(state).expect("a state of numbers is JSON"))
}

#[async_trait]
impl Operator for Counter {
    async fn open(&mut self, _: &OperatorContext, state: Option<State>) -> Result<()> {
        self.next = state.as_ref().map(read).transpose()?.unwrap_or_default();
        self.outside.at("op.open", |_| Ok(()))
    }

    async fn process(&mut self, _: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        for (table, n, _) in changes_of(&batch) {
            let next = self.next.entry(table.clone()).or_insert(0);
            if *next != n {
                let text = format!("row {n} of {table} came to an operator whose state expects {next}");
                self.outside.lock().violation(text);
            }
            *next = n + 1;
        }
        out.emit(OutputPort::MAIN, batch).await
    }

    async fn snapshot(&mut self, _: Epoch) -> Result<State> {
        self.outside.at("op.snapshot", |_| Ok(()))?;
        Ok(write(&self.next))
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let rows: i64 = self.next.values().sum();
        if rows == 0 {
            return Ok(());
        }
        let end = Change { op: Op::Insert, key: 0, value: rows };
        out.emit(OutputPort::MAIN, batch(&format!("{END}{}", self.name), 0, &[end])?).await
    }
}

/// A batch that is held: table, number of its first row, and op, key and value of each.
type Held = (String, i64, Vec<(u8, i64, i64)>);

/// What a [`Holder`] remembers.
#[derive(Default, Serialize, Deserialize)]
struct Line {
    held: VecDeque<Held>,
    /// So many of the first leave in the epoch that follows.
    named: usize,
}

/// Holds batches back for some epochs; which leave is a matter of chance until a snapshot names them.
pub(super) struct Holder {
    outside: Outside,
    line: Line,
    random: Random,
    /// That rows wait for a snapshot was said.
    told: bool,
}

impl Holder {
    pub(super) fn new(outside: Outside) -> Self {
        let seed = outside.lock().script.random.draw();
        Self { outside, line: Line::default(), random: Random(seed), told: false }
    }

    async fn release(&mut self, out: &mut dyn Output) -> Result<()> {
        self.line.named -= 1;
        let (table, first, changes) = self.line.held.pop_front().ok_or_else(|| Error::bug("more named than held"))?;
        let op = |code| Op::from_u8(code).ok_or_else(|| Error::bug("an op that was written is none"));
        let changes = changes.into_iter().map(|(code, key, value)| Ok(Change { op: op(code)?, key, value }));
        let batch = batch(&table, first as usize, &changes.collect::<Result<Vec<_>>>()?)?;
        out.emit(OutputPort::MAIN, batch).await
    }
}

#[async_trait]
impl Operator for Holder {
    async fn open(&mut self, _: &OperatorContext, state: Option<State>) -> Result<()> {
        self.line = state.as_ref().map(read).transpose()?.unwrap_or_default();
        Ok(())
    }

    async fn process(&mut self, _: InputPort, batch: Batch, _: &mut dyn Output) -> Result<()> {
        let changes = changes_of(&batch);
        let Some((table, first, _)) = changes.first().cloned() else { return Ok(()) };
        let changes = changes.into_iter().map(|(_, _, Change { op, key, value })| (op as u8, key, value));
        self.line.held.push_back((table, first, changes.collect()));
        Ok(())
    }

    async fn snapshot(&mut self, _: Epoch) -> Result<State> {
        self.line.named = self.random.below(self.line.held.len() + 1);
        self.told = false;
        Ok(write(&self.line))
    }

    fn background(&mut self) -> Option<&mut dyn Background> {
        Some(self)
    }
}

#[async_trait]
impl Background for Holder {
    async fn ready(&mut self) {
        if self.line.named == 0 && (self.told || self.line.held.is_empty()) {
            std::future::pending().await
        }
    }

    async fn step(&mut self, out: &mut dyn Output) -> Result<()> {
        self.told = true;
        self.outside.at("op.step", |_| Ok(()))?;
        if self.line.named > 0 { self.release(out).await } else { Ok(()) }
    }

    async fn settle(&mut self, out: &mut dyn Output) -> Result<()> {
        while self.line.named > 0 {
            self.release(out).await?;
        }
        Ok(())
    }

    fn load(&self) -> Load {
        if self.line.held.is_empty() { Load::Idle } else { Load::Busy }
    }
}
