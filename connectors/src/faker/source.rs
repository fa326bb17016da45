//! Hands out the plan's rows.

use aqueduct_model::{BadRows, Batch, Error, ErrorKind, PollBudget, Polled, Position, Result, Source, SourceContext};
use arrow::array::{RecordBatch, UInt8Array};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::config::FakerConfig;
use super::plan::{Chunk, Cursor, Plan};
use super::rate::TokenBucket;

/// Generates the rows of a plan.
pub(super) struct FakerSource {
    plan: Plan,
    limit: Option<u64>,
    rate: Option<f64>,
    bucket: Option<TokenBucket>,
    cursor: Cursor,
}

/// The offset in a position: `{"row": i}` is the next event.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FakerOffset {
    row: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    singly: bool,
}

impl FakerSource {
    /// Makes the source.
    pub(super) fn new(config: &FakerConfig) -> Result<Self> {
        Ok(Self {
            plan: Plan::new(config)?,
            limit: config.limit(),
            rate: config.rate,
            bucket: None,
            cursor: Cursor::default(),
        })
    }

    fn batch(&self, chunk: Chunk) -> Result<Batch> {
        let table = &self.plan.tables[chunk.table];
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

/// Reads the next event out of a position.
fn cursor_of(position: &Position) -> Result<Cursor> {
    if position.0.is_empty() {
        return Ok(Cursor::default());
    }
    let foreign = || {
        Error::new(ErrorKind::State, "the recorded position is not one of FakerInput")
            .with_hint("reset the flow's checkpoint if the task was another plugin before")
    };
    let offset = position.offset("").ok_or_else(foreign)?;
    let offset = FakerOffset::deserialize(offset).map_err(|error| foreign().with_source(error))?;
    Ok(Cursor { next: offset.row, singly: offset.singly })
}

#[async_trait]
impl Source for FakerSource {
    async fn open(&mut self, _context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        self.cursor = resume.map(cursor_of).transpose()?.unwrap_or_default();
        if !self.plan.fits(self.cursor, self.limit) {
            return Err(Error::new(ErrorKind::LostPosition, "more rows were generated before than there are now")
                .with_setting("rows")
                .with_hint("raise `rows` again, or reset the flow's checkpoint"));
        }
        self.bucket = self.rate.map(|rate| TokenBucket::new(rate, Instant::now()));
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, _bad: &mut BadRows) -> Result<Polled> {
        let until = budget.until.as_ref().map(cursor_of).transpose()?;
        let end = until.map(|until| until.next).or(self.limit).unwrap_or(u64::MAX);
        if self.cursor.next >= end {
            return Ok(if until.is_some() { Polled::Idle } else { Polled::Finished });
        }
        let mut rows = budget.max_rows.min(budget.max_bytes / self.plan.row_bytes()).max(1);
        if let Some(bucket) = &mut self.bucket {
            rows = bucket.take(rows as u64, budget.max_wait).await as usize;
            if rows == 0 {
                return Ok(Polled::Idle);
            }
        }
        let chunk = self.plan.take(&mut self.cursor, rows, until, self.limit);
        if let Some(bucket) = &mut self.bucket {
            bucket.give_back(rows.saturating_sub(chunk.keys.len()));
        }
        self.batch(chunk).map(Polled::Batch)
    }

    fn position(&self) -> Option<Position> {
        let offset = FakerOffset { row: self.cursor.next, singly: self.cursor.singly };
        Some(Position::single("", serde_json::json!(offset)))
    }
}
