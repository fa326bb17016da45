//! `Watermark` at work.

use aqueduct_model::{
    Batch, Cardinality, Epoch, Error, ErrorKind, InputPort, Op, Operator, OperatorContext, OperatorPlugin, Output,
    OutputPort, PluginEntry, Properties, Result, State, Watermark, operator,
};
use async_trait::async_trait;

use super::config::WatermarkConfig;
use crate::bindings::Bindings;
use crate::event_time::{EventTime, at_least_one_ms, millis, whole_ms};
use crate::sql::Expression;

/// The entry of `Watermark`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Watermark";
    const SUMMARY: &'static str = "Says how far event time has come, so that windows behind it can close.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = WatermarkConfig;

    fn properties(config: &WatermarkConfig) -> Properties {
        Properties {
            stateful: true,
            gives_event_time: true,
            cardinality: Cardinality::OneToOne,
            idle_after: config.idle,
            ..Properties::operator()
        }
    }

    fn validate(config: &WatermarkConfig) -> Result<()> {
        config.idle.iter().try_for_each(|idle| at_least_one_ms(*idle, "idle").map(drop))?;
        Expression::parse(&config.time).map(drop).map_err(|error| error.with_setting("time"))
    }

    fn build(config: WatermarkConfig) -> Result<Box<dyn Operator>> {
        Ok(Box::new(Watermarks {
            time: Expression::parse(&config.time).map_err(|error| error.with_setting("time"))?,
            out_of_order_ms: whole_ms(config.out_of_order),
            latest_ms: None,
            sent_ms: None,
            bound: Bindings::default(),
        }))
    }
}

struct Watermarks {
    time: Expression,
    out_of_order_ms: i64,
    /// The greatest event time so far.
    latest_ms: Option<i64>,
    /// The watermark that those behind know; `None` at the start and while the input is idle.
    sent_ms: Option<i64>,
    bound: Bindings<EventTime>,
}

impl Watermarks {
    fn now_ms(&self) -> Option<i64> {
        self.latest_ms.map(|latest| latest.saturating_sub(self.out_of_order_ms))
    }

    /// Sends the watermark, if those behind do not know it.
    fn send(&mut self, out: &mut dyn Output) -> Result<()> {
        match self.now_ms() {
            Some(ms) if self.sent_ms.is_none_or(|sent| sent < ms) => {
                self.sent_ms = Some(ms);
                out.advance(Watermark::EventTimeMs(ms))
            }
            _ => Ok(()),
        }
    }

    /// Where to cut a batch: before each row at which the watermark has to be known. Rows that are in time are counted
    /// the same whether a window knows the watermark or not.
    ///
    /// Of an old row without an event time nobody knows whether it is late, so it is taken for such.
    fn must_know(&self, times: &Times, i: usize) -> bool {
        let Some(now) = self.now_ms() else { return false };
        if self.sent_ms.is_some_and(|sent| sent >= now) {
            return false;
        }
        match (times.present(i), times.ms[i]) {
            (false, _) => true,
            (true, Some(ms)) => ms < now,
            (true, None) => false,
        }
    }
}

/// The event times of a batch.
struct Times<'a> {
    batch: &'a Batch,
    columns: &'a [usize],
    ms: Vec<Option<i64>>,
}

impl Times<'_> {
    fn present(&self, i: usize) -> bool {
        self.columns.iter().all(|&column| self.batch.present(column).is_none_or(|mask| mask.value(i)))
    }
}

#[async_trait]
impl Operator for Watermarks {
    async fn open(&mut self, _context: &OperatorContext, state: Option<State>) -> Result<()> {
        let Some(State(bytes)) = state else { return Ok(()) };
        let foreign = |_| Error::new(ErrorKind::State, "the state of a Watermark cannot be read");
        self.latest_ms = match bytes.as_slice() {
            [] => None,
            bytes => Some(i64::from_le_bytes(bytes.try_into().map_err(foreign)?)),
        };
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let time = &self.time;
        let bound = self.bound.get(batch.relation(), || EventTime::bind(time, batch.relation(), "time"))?;
        // A time that cannot be computed moves nothing; a window refuses its row.
        let ms = millis(&bound.0.evaluate_rows(batch.rows())?.values, "time")?;
        let columns = bound.0.columns().to_vec();
        let times = Times { batch: &batch, columns: &columns, ms };
        let mut begin = 0;
        let mut i = 0;
        while i < batch.num_rows() {
            let is_pair = batch.op(i) == Op::UpdateBefore;
            let new = if is_pair { i + 1 } else { i };
            // An update without its old row moves a row from a time that nobody knows here.
            let is_lone = !is_pair && batch.op(i) == Op::UpdateAfter && self.now_ms() != self.sent_ms;
            if is_lone || (i..=new).any(|row| self.must_know(&times, row)) {
                out.emit(OutputPort::MAIN, batch.slice(begin, i - begin)).await?;
                self.send(out)?;
                begin = i;
            }
            if batch.op(new) != Op::Delete && times.present(new) {
                self.latest_ms = self.latest_ms.max(times.ms[new]);
            }
            i = new + 1;
        }
        out.emit(OutputPort::MAIN, batch.slice(begin, batch.num_rows() - begin)).await?;
        self.send(out)
    }

    /// Only silence is passed on: behind this the event time is that of this task.
    async fn on_watermark(&mut self, watermark: Watermark, _out: &mut dyn Output) -> Result<Option<Watermark>> {
        if watermark == Watermark::Idle {
            self.sent_ms = None;
            return Ok(Some(watermark));
        }
        Ok(None)
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        Ok(State(self.latest_ms.map(|ms| ms.to_le_bytes().to_vec()).unwrap_or_default()))
    }
}
