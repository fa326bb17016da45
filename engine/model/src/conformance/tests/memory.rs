//! A source and a sink in memory that keep their promises, or break one on purpose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;

use crate::conformance::{Orders, Tables, apply};
use crate::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    SkipsOnResume,
    IgnoresUntil,
    TakesGarbage,
    Panics,
    NoPosition,
    VisibleAtOnce,
    VisibleAtFlush,
    NoTokenCheck,
    AnyClaim,
    CommitsTwice,
    KeepsLeftovers,
    ForgetsRecord,
}

pub struct MemorySource {
    flaw: Flaw,
    next: i64,
}

const ROWS: i64 = 500;

impl MemorySource {
    pub fn new(flaw: Flaw) -> Self {
        Self { flaw, next: 0 }
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn open(&mut self, _: &SourceContext, resume: Option<&Position>) -> Result<()> {
        let Some(position) = resume.filter(|position| **position != Position::default()) else { return Ok(()) };
        let next = position.offset("").and_then(|offset| offset.as_i64());
        self.next = match (next, self.flaw) {
            (Some(next), Flaw::SkipsOnResume) => next + 1,
            (Some(next), _) => next,
            (None, Flaw::TakesGarbage) => 0,
            (None, Flaw::Panics) => panic!("no such position"),
            (None, _) => return Err(Error::new(ErrorKind::LostPosition, "not a position of this source")),
        };
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        let until = budget.until.as_ref().and_then(|until| until.offset("")?.as_i64());
        let until = until.filter(|_| self.flaw != Flaw::IgnoresUntil).unwrap_or(ROWS);
        if self.next >= ROWS {
            return Ok(Polled::Finished);
        }
        let end = until.min(self.next + budget.max_rows as i64).min(ROWS);
        if self.next >= end {
            return Ok(Polled::Idle);
        }
        let batch = Orders::new("orders")?.inserts(self.next..end)?;
        self.next = end;
        Ok(Polled::Batch(batch))
    }

    fn position(&self) -> Option<Position> {
        (self.flaw != Flaw::NoPosition).then(|| Position::single("", json!(self.next)))
    }
}

/// What outlives a sink value.
#[derive(Default)]
pub struct Store(Mutex<Content>);

#[derive(Default)]
struct Content {
    recorded: Option<Recorded>,
    visible: Vec<Batch>,
    staged: BTreeMap<Epoch, Vec<Batch>>,
}

impl Store {
    pub fn visible(&self) -> Result<Tables> {
        let mut tables = Tables::new();
        for batch in &self.0.lock().unwrap().visible {
            apply(&mut tables, batch)?;
        }
        Ok(tables)
    }
}

pub struct MemorySink {
    store: Arc<Store>,
    flaw: Flaw,
    transactional: bool,
    token: Token,
    rows: Vec<Batch>,
}

impl MemorySink {
    pub fn new(store: Arc<Store>, flaw: Flaw, transactional: bool) -> Self {
        Self { store, flaw, transactional, token: Token(0), rows: Vec::new() }
    }

    fn fenced(&self, content: &Content) -> Result<()> {
        let newest = content.recorded.as_ref().map_or(Token(0), |recorded| recorded.token);
        if newest > self.token && self.flaw != Flaw::NoTokenCheck {
            return Err(Error::new(ErrorKind::State, "another writer has taken over"));
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        let content = self.store.0.lock().unwrap();
        Ok(content.recorded.clone().filter(|_| self.flaw != Flaw::ForgetsRecord))
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        let mut content = self.store.0.lock().unwrap();
        if content.recorded.as_ref().is_some_and(|recorded| recorded.token >= claim.token)
            && self.flaw != Flaw::AnyClaim
        {
            return Err(Error::new(ErrorKind::State, "the token is not the highest"));
        }
        self.token = claim.token;
        let cut = content.recorded.take().map(|recorded| recorded.cut).unwrap_or_default();
        content.recorded = Some(Recorded { token: claim.token, cut });
        if self.flaw != Flaw::KeepsLeftovers {
            content.staged.retain(|epoch, _| *epoch <= claim.cut.epoch);
        }
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        if let SinkInput::Batch(batch) = input {
            if self.flaw == Flaw::VisibleAtOnce {
                self.store.0.lock().unwrap().visible.push(batch.clone());
            }
            self.rows.push(batch);
        }
        Ok(())
    }

    async fn flush(&mut self, cut: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        let mut content = self.store.0.lock().unwrap();
        self.fenced(&content)?;
        let rows = std::mem::take(&mut self.rows);
        if self.transactional {
            content.visible.extend(rows);
            content.recorded = Some(Recorded { token: self.token, cut: cut.clone() });
            return Ok(None);
        }
        if self.flaw == Flaw::VisibleAtFlush {
            content.visible.extend(rows.clone());
        }
        content.staged.entry(cut.epoch).or_default().extend(rows);
        Ok(Some(PreparedCommit(json!(cut))))
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        let mut content = self.store.0.lock().unwrap();
        self.fenced(&content)?;
        let cut: Cut =
            serde_json::from_value(prepared.0.clone()).map_err(|_| Error::bug("a prepared commit of another sink"))?;
        let done = content.recorded.as_ref().map_or(Epoch(0), |recorded| recorded.cut.epoch);
        if epoch <= done && self.flaw != Flaw::CommitsTwice {
            return Ok(());
        }
        let rows = if self.flaw == Flaw::CommitsTwice {
            content.staged.get(&epoch).cloned().unwrap_or_default()
        } else {
            content.staged.remove(&epoch).unwrap_or_default()
        };
        content.visible.extend(rows);
        content.recorded = Some(Recorded { token: self.token, cut });
        Ok(())
    }
}
