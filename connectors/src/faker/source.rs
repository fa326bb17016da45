//! Hands out the plan's rows in ranges of events.

use std::collections::VecDeque;

use aqueduct_model::{BadRows, Batch, Error, ErrorKind, PollBudget, Polled, Position, Result, Source, SourceContext};
use arrow::array::{RecordBatch, UInt8Array};
use async_trait::async_trait;
use serde_json::json;
use tokio::time::Instant;

use super::config::FakerConfig;
use super::plan::{Chunk, Plan, Table};
use super::rate::TokenBucket;

/// Generates the rows of a plan. The offset is `{"row": i}`: the next event.
///
/// A range of events that touches several tables makes one batch for each. Between them there is no position, so that
/// no epoch parts an order from its customer.
pub(super) struct FakerSource {
    plan: Plan,
    limit: Option<u64>,
    rate: Option<f64>,
    bucket: Option<TokenBucket>,
    next: u64,
    /// Batches of events before `next` that were not handed out yet.
    pending: VecDeque<Batch>,
}

impl FakerSource {
    /// Makes the source.
    pub(super) fn new(config: &FakerConfig) -> Result<Self> {
        Ok(Self {
            plan: Plan::new(config)?,
            limit: config.limit(),
            rate: config.rate,
            bucket: None,
            next: 0,
            pending: VecDeque::new(),
        })
    }

    fn batch(&self, table: &Table, chunk: Chunk) -> Result<Batch> {
        let columns = (table.columns)(&self.plan.world, &chunk.keys)?;
        let rows = RecordBatch::try_new(table.relation.columns().clone(), columns)
            .map_err(|error| Error::bug("generated columns do not fit their table").with_source(error))?;
        if chunk.ops.is_empty() {
            Batch::inserts(table.relation.clone(), rows)
        } else {
            Batch::changes(table.relation.clone(), rows, UInt8Array::from(chunk.ops))
        }
    }
}

/// Reads the event number out of a position.
fn row_of(position: &Position) -> Result<u64> {
    if position.0.is_empty() {
        return Ok(0);
    }
    position.offset("").and_then(|offset| offset.get("row")).and_then(serde_json::Value::as_u64).ok_or_else(|| {
        Error::new(ErrorKind::State, "the recorded position is not one of FakerInput")
            .with_hint("reset the flow's checkpoint if the task was another plugin before")
    })
}

#[async_trait]
impl Source for FakerSource {
    async fn open(&mut self, _context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        self.next = resume.map_or(Ok(0), row_of)?;
        if self.limit.is_some_and(|limit| self.next > limit) {
            return Err(Error::new(ErrorKind::LostPosition, "more rows were generated before than there are now")
                .with_setting("rows")
                .with_hint("raise `rows` again, or reset the flow's checkpoint"));
        }
        self.pending.clear();
        self.bucket = self.rate.map(|rate| TokenBucket::new(rate, Instant::now()));
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, _bad: &mut BadRows) -> Result<Polled> {
        if let Some(batch) = self.pending.pop_front() {
            return Ok(Polled::Batch(batch));
        }
        let until = budget.until.as_ref().map(row_of).transpose()?;
        if until.is_none() && self.limit.is_some_and(|limit| self.next >= limit) {
            return Ok(Polled::Finished);
        }
        let end = until.into_iter().chain(self.limit).min().unwrap_or(u64::MAX);
        let most = budget.max_rows.min(budget.max_bytes / self.plan.row_bytes()).max(1) as u64;
        let mut wanted = end.saturating_sub(self.next).min(most);
        if let (Some(bucket), true) = (&mut self.bucket, wanted > 0) {
            wanted = bucket.take(wanted, budget.max_wait).await;
        }
        if wanted == 0 {
            return Ok(Polled::Idle);
        }
        let to = self.next + wanted;
        for (table, chunk) in self.plan.tables.iter().zip(self.plan.chunks(self.next, to)) {
            if !chunk.keys.is_empty() {
                let batch = self.batch(table, chunk)?;
                self.pending.push_back(batch);
            }
        }
        self.next = to;
        Ok(self.pending.pop_front().map_or(Polled::Idle, Polled::Batch))
    }

    fn position(&self) -> Option<Position> {
        self.pending.is_empty().then(|| Position::single("", json!({ "row": self.next })))
    }
}
