//! `Delay` at work.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aqueduct_model::{
    Background, Batch, Epoch, Error, InputPort, Load, Op, Operator, OperatorContext, OperatorPlugin, Output,
    OutputPort, PluginEntry, Properties, Result, SchemaChange, State, Watermark, operator,
};
use async_trait::async_trait;

use super::config::DelayConfig;
use super::entry::{Due, Entry};
use super::line::Line;
use crate::bindings::Bindings;
use crate::event_time::{EventTime, millis};
use crate::predicate::present;
use crate::sql::Expression;

/// The entry of `Delay`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// So many entries leave between two looks at what comes in.
const STEP_ENTRIES: usize = 16;

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Delay";
    const SUMMARY: &'static str = "Holds rows back for a time, by the clock or by event time.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = DelayConfig;

    fn properties(config: &DelayConfig) -> Properties {
        Properties {
            inputs: (1, usize::MAX),
            needs_event_time: config.time.is_some(),
            stateful: true,
            blocking: true,
            ..Properties::operator()
        }
    }

    fn validate(config: &DelayConfig) -> Result<()> {
        config.parse().map(drop)
    }

    fn build(config: DelayConfig) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Delay::new(&config, Arc::new(clock_ms))?))
    }
}

/// Milliseconds since 1970, as the machine says.
fn clock_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Tells what time it is; tests have their own.
pub(super) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

pub(super) struct Delay {
    hold_ms: i64,
    time: Option<Expression>,
    bound: Bindings<EventTime>,
    memory_bytes: usize,
    line: Option<Line>,
    clock: Clock,
    /// Rows whose time is over wait for a checkpoint that names them, and that was said.
    told: bool,
}

impl Delay {
    pub(super) fn new(config: &DelayConfig, clock: Clock) -> Result<Self> {
        let (hold_ms, time) = config.parse()?;
        let memory_bytes = config.state_memory.0 as usize;
        Ok(Self { hold_ms, time, bound: Bindings::default(), memory_bytes, line: None, clock, told: false })
    }

    /// The first entry leaves.
    async fn release_first(&mut self, out: &mut dyn Output) -> Result<()> {
        let line = opened(&mut self.line)?;
        let Some(entry) = line.first()? else { return Ok(()) };
        line.pop()?;
        match entry {
            Entry::Rows(batch, _) => out.emit(OutputPort::MAIN, batch).await,
            Entry::Schema(change) => out.announce(OutputPort::MAIN, change).await,
            Entry::Watermark(watermark) => out.advance(watermark),
        }
    }

    async fn release_named(&mut self, out: &mut dyn Output, limit: usize) -> Result<()> {
        for _ in 0..limit {
            if !opened(&mut self.line)?.has_named() {
                return Ok(());
            }
            self.release_first(out).await?;
        }
        Ok(())
    }

    /// By event time: lets go what the watermark has passed.
    async fn release_passed(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.time.is_none() {
            return Ok(());
        }
        let now_ms = opened(&mut self.line)?.head.watermark_ms.unwrap_or(i64::MIN);
        while let Some(entry) = opened(&mut self.line)?.first()? {
            match entry {
                Entry::Rows(batch, due) if due.last_ms > now_ms => {
                    let (gone, due_ms) = self.passed(&batch, due, now_ms)?;
                    if gone == 0 {
                        return Ok(());
                    }
                    let rest = batch.slice(gone, batch.num_rows() - gone);
                    let rest = Entry::Rows(rest, Due { before_ms: due_ms, last_ms: due.last_ms });
                    opened(&mut self.line)?.replace_first(rest)?;
                    out.emit(OutputPort::MAIN, batch.slice(0, gone)).await?;
                    return Ok(());
                }
                _ => self.release_first(out).await?,
            }
        }
        Ok(())
    }

    /// How many rows of a batch the watermark has passed, and by when the last of them was due.
    fn passed(&mut self, batch: &Batch, due: Due, now_ms: i64) -> Result<(usize, i64)> {
        let own = self.own_ms(batch)?;
        let (mut gone, mut due_ms) = (0, due.before_ms);
        while gone < batch.num_rows() {
            // The halves of an update stay together.
            let behind = gone + if batch.op(gone) == Op::UpdateBefore { 2 } else { 1 };
            let next_ms = own[gone..behind].iter().flatten().fold(due_ms, |due_ms, own_ms| due_ms.max(*own_ms));
            if next_ms > now_ms {
                break;
            }
            (gone, due_ms) = (behind, next_ms);
        }
        Ok((gone, due_ms))
    }

    /// By when each row may leave by its own event time; `None` where it has none.
    fn own_ms(&mut self, batch: &Batch) -> Result<Vec<Option<i64>>> {
        let Some(time) = &self.time else { return Ok(vec![None; batch.num_rows()]) };
        let bound = self.bound.get(batch.relation(), || EventTime::bind(time, batch.relation(), "time"))?;
        let values = bound.0.evaluate_rows(batch.rows())?.values;
        let known = present(bound.0.columns(), batch);
        let is_known = |row: usize| known.as_ref().is_none_or(|known| known.value(row));
        let ms = millis(&values, "time")?;
        let due = |ms: i64| ms.saturating_add(self.hold_ms);
        Ok(ms.into_iter().enumerate().map(|(row, ms)| ms.filter(|_| is_known(row)).map(due)).collect())
    }
}

fn opened(line: &mut Option<Line>) -> Result<&mut Line> {
    line.as_mut().ok_or_else(|| Error::bug("a delay before open"))
}

#[async_trait]
impl Operator for Delay {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.line = Some(Line::open(context, state.as_ref(), self.memory_bytes)?);
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let own_ms = self.own_ms(&batch)?.into_iter().flatten().max();
        let line = opened(&mut self.line)?;
        let due = line.due(own_ms);
        line.push(&Entry::Rows(batch, due))?;
        self.release_passed(out).await
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        opened(&mut self.line)?.push(&Entry::Schema(change))?;
        self.release_passed(out).await
    }

    /// A watermark waits like a row: it must not pass those that it has seen.
    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        let line = opened(&mut self.line)?;
        line.push(&Entry::Watermark(watermark))?;
        if let Watermark::EventTimeMs(ms) = watermark {
            line.head.watermark_ms = line.head.watermark_ms.max(Some(ms));
        }
        self.release_passed(out).await?;
        Ok(None)
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        let now_ms = (self.clock)();
        let line = opened(&mut self.line)?;
        if self.time.is_none() {
            line.head.marks.follow_clock(now_ms);
            if !line.is_empty() {
                line.head.marks.put(line.end(), now_ms, self.hold_ms);
            }
            if let Some(end) = line.head.marks.take_due(now_ms, self.hold_ms) {
                line.head.named = end;
            }
            self.told = false;
        }
        line.snapshot()
    }

    fn background(&mut self) -> Option<&mut dyn Background> {
        // By event time nothing happens but what comes in.
        if self.time.is_none() { Some(self) } else { None }
    }

    /// By event time, the end is later than any row; by the clock, nothing is left.
    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        while !opened(&mut self.line)?.is_empty() {
            self.release_first(out).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Background for Delay {
    async fn ready(&mut self) {
        let Some(line) = &self.line else { return std::future::pending().await };
        if line.has_named() {
            return;
        }
        match line.head.marks.due_in_ms((self.clock)(), self.hold_ms).filter(|_| !self.told) {
            Some(0) => {}
            Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            // Nothing is held, or the next checkpoint has to name what leaves.
            None => std::future::pending().await,
        }
    }

    async fn step(&mut self, out: &mut dyn Output) -> Result<()> {
        if opened(&mut self.line)?.has_named() {
            return self.release_named(out, STEP_ENTRIES).await;
        }
        // That this was called begins an epoch, and with it the checkpoint that names what leaves.
        let due = opened(&mut self.line)?.head.marks.due_in_ms((self.clock)(), self.hold_ms);
        self.told = due == Some(0);
        Ok(())
    }

    async fn settle(&mut self, out: &mut dyn Output) -> Result<()> {
        self.release_named(out, usize::MAX).await
    }

    fn load(&self) -> Load {
        if self.line.as_ref().is_none_or(Line::is_empty) { Load::Idle } else { Load::Busy }
    }
}
