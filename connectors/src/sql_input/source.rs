//! The source itself: chunk after chunk, look after look.

use std::num::NonZeroUsize;
use std::time::Duration;

use aqueduct_model::{BadRows, Batch, Error, PollBudget, Polled, Position, Result, Source, SourceContext};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::time::Instant;

use super::block::{Block, ReadLimits};
use super::edge::{edge_of, from_json, to_json};
use super::incremental::Incremental;
use super::place::{Place, foreign};
use super::reading::{Described, Reader, Side, Span};

/// What is the same for every database system.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Rows per statement, with a key.
    pub fetch_rows: NonZeroUsize,
    /// New rows are told by a column.
    pub incremental: Option<Incremental>,
    /// Look again after this long; without it reading ends at the last row.
    pub poll_interval: Option<Duration>,
}

/// Reads rows behind the last key, then ends or looks again.
pub(crate) struct SqlInput<R> {
    reader: R,
    settings: Settings,
    reading: Option<Reading>,
}

/// Everything between `open` and `close`.
struct Reading {
    described: Described,
    /// The columns that order the reading: the incremental one, then the key.
    order: Vec<usize>,
    /// The incremental column.
    growing: Option<usize>,
    place: Option<Place>,
    /// Where the statement that follows begins.
    lower: Option<(Side, RecordBatch)>,
    /// The rows up to here are read a second time: the place stays where it is.
    again_up_to: Option<RecordBatch>,
    chunk: Option<Chunk>,
    next_look: Option<Instant>,
    is_finished: bool,
}

/// A statement whose rows are being read.
struct Chunk {
    until: Option<Place>,
    read: usize,
}

impl<R: Reader> SqlInput<R> {
    /// A source that is not open yet.
    pub(crate) fn new(reader: R, settings: Settings) -> Self {
        Self { reader, settings, reading: None }
    }
}

#[async_trait]
impl<R: Reader> Source for SqlInput<R> {
    async fn open(&mut self, _context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        fail::fail_point!("src.connect");
        let place = resume.map(Place::of).transpose()?.flatten();
        let described = self.reader.open().await?;
        self.reading = Some(Reading::new(described, place, &self.settings)?);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let until = budget.until.as_ref().map(Place::of).transpose()?.flatten();
        let reading = self.reading.as_mut().ok_or_else(|| Error::bug("poll before open"))?;
        if budget.until.is_some() && until == reading.place {
            return Ok(Polled::Idle);
        }
        if reading.is_finished {
            return Ok(if until.is_some() { Polled::Idle } else { Polled::Finished });
        }
        if reading.is_waiting(budget.max_wait).await {
            return Ok(Polled::Idle);
        }
        let limits = ReadLimits { rows: budget.max_rows, bytes: budget.max_bytes };
        loop {
            if reading.chunk.as_ref().is_none_or(|chunk| chunk.until != until) {
                let span = reading.span(&self.settings, until.as_ref())?;
                self.reader.start(&reading.described, &span).await?;
                reading.chunk = Some(Chunk { until: until.clone(), read: 0 });
            }
            match self.reader.next(limits).await? {
                Some(block) => {
                    if let Some(batch) = reading.take(block, bad)? {
                        return Ok(Polled::Batch(batch));
                    }
                }
                None => {
                    if let Some(end) = reading.chunk_ended(&self.settings, until.as_ref())? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    fn position(&self) -> Option<Position> {
        Some(Place::position(self.reading.as_ref().and_then(|reading| reading.place.as_ref())))
    }

    async fn close(&mut self) -> Result<()> {
        self.reading = None;
        self.reader.close().await;
        Ok(())
    }
}

impl Reading {
    fn new(described: Described, place: Option<Place>, settings: &Settings) -> Result<Self> {
        let relation = &described.relation;
        let growing = settings.incremental.as_ref().map(|column| column.column(relation)).transpose()?;
        if growing.is_some() && described.key.is_empty() {
            return Err(Error::config(format!("`incremental` needs a key, and {} has none", relation.name()))
                .with_setting("key")
                .with_hint("name the columns that tell rows apart in `key`"));
        }
        let order: Vec<usize> =
            growing.into_iter().chain(described.key.iter().copied().filter(|key| Some(*key) != growing)).collect();
        let lower = match &place {
            Some(Place::After(cells)) if !order.is_empty() => {
                let fits = cells.len() == order.len();
                let edge = from_json(relation, &order, cells).filter(|_| fits);
                Some((Side::Above, edge.ok_or_else(|| foreign("the columns that order the reading are others now"))?))
            }
            Some(Place::Rows(_) | Place::AllRows(_)) if order.is_empty() => None,
            Some(_) => return Err(foreign("what is read has another key now")),
            None => match (&settings.incremental, growing) {
                (Some(incremental), Some(column)) => {
                    incremental.first(relation, column)?.map(|from| (Side::From, from))
                }
                _ => None,
            },
        };
        let is_finished = matches!(place, Some(Place::AllRows(_)));
        // Without an order a restart begins anew.
        let place = if is_finished || !order.is_empty() { place } else { None };
        let mut reading = Self {
            described,
            order,
            growing,
            place,
            lower,
            again_up_to: None,
            chunk: None,
            next_look: None,
            is_finished,
        };
        reading.look_back(settings)?;
        Ok(reading)
    }

    /// Waits for the next look, at most `max_wait`; true when it has not come.
    async fn is_waiting(&mut self, max_wait: Duration) -> bool {
        let Some(at) = self.next_look else { return false };
        let deadline = Instant::now() + max_wait;
        tokio::time::sleep_until(at.min(deadline)).await;
        if at > deadline {
            return true;
        }
        self.next_look = None;
        false
    }

    /// The statement that follows.
    fn span(&self, settings: &Settings, until: Option<&Place>) -> Result<Span> {
        let mut bounds: Vec<(Side, RecordBatch)> = self.lower.iter().cloned().collect();
        let upper = match until {
            Some(Place::After(cells)) => from_json(&self.described.relation, &self.order, cells)
                .map(Some)
                .ok_or_else(|| foreign("the columns that order the reading are others now"))?,
            _ => self.again_up_to.clone(),
        };
        bounds.extend(upper.map(|edge| (Side::UpTo, edge)));
        let rows = (!self.order.is_empty()).then_some(settings.fetch_rows.get());
        Ok(Span { order: self.order.clone(), bounds, among: None, not_null: self.growing, rows })
    }

    /// Moves behind a block; `None` when all its rows were refused.
    fn take(&mut self, block: Block, bad: &mut BadRows) -> Result<Option<Batch>> {
        if let Some(chunk) = &mut self.chunk {
            chunk.read += block.read;
        }
        for row in block.refused {
            bad.reject(row)?;
        }
        if self.order.is_empty() {
            let before = match self.place {
                Some(Place::Rows(rows)) => rows,
                _ => 0,
            };
            self.place = Some(Place::Rows(before + block.read as u64));
        } else {
            let edge = edge_of(&self.described.relation, &self.order, &block.last)?;
            if self.again_up_to.is_none() {
                self.place = Some(Place::After(to_json(&edge)?));
            }
            self.lower = Some((Side::Above, edge));
        }
        if block.rows.num_rows() == 0 {
            return Ok(None);
        }
        Batch::inserts(self.described.relation.clone(), block.rows).map(Some)
    }

    /// Decides what comes behind a chunk: `None` for another one.
    fn chunk_ended(&mut self, settings: &Settings, until: Option<&Place>) -> Result<Option<Polled>> {
        let read = self.chunk.take().map_or(0, |chunk| chunk.read);
        if !self.order.is_empty() && read >= settings.fetch_rows.get() {
            return Ok(None);
        }
        if let Some(until) = until {
            self.place = Some(until.clone());
            if let Place::After(cells) = until {
                let edge = from_json(&self.described.relation, &self.order, cells);
                self.lower = edge.map(|edge| (Side::Above, edge));
            }
            return Ok(Some(Polled::Idle));
        }
        if let Some(edge) = self.again_up_to.take() {
            self.lower = Some((Side::Above, edge));
            return Ok(None);
        }
        if let Some(interval) = settings.poll_interval {
            self.next_look = Some(Instant::now() + interval);
            self.look_back(settings)?;
            return Ok(Some(Polled::Idle));
        }
        if self.order.is_empty() {
            let rows = match self.place {
                Some(Place::Rows(rows)) => rows,
                _ => 0,
            };
            self.place = Some(Place::AllRows(rows));
        }
        self.is_finished = true;
        Ok(Some(Polled::Finished))
    }

    /// Begins a look `lookback` before the newest row that was read.
    fn look_back(&mut self, settings: &Settings) -> Result<()> {
        let (Some(incremental), Some(column)) = (&settings.incremental, self.growing) else { return Ok(()) };
        // A first bound of `from` has no row behind it yet.
        let Some((Side::Above, newest)) = &self.lower else { return Ok(()) };
        if let Some(start) = incremental.behind(&self.described.relation, column, newest)? {
            self.again_up_to = Some(newest.clone());
            self.lower = Some((Side::From, start));
        }
        Ok(())
    }
}
