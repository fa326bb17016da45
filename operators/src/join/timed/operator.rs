//! What joins by event time share: reading rows, what is late, and when rows go out.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, Output, OutputPort, Relation, Result,
    SchemaChange, State, Watermark,
};
use arrow::array::BooleanArray;
use async_trait::async_trait;

use super::kept::{Kept, Queue};
use crate::event_time::whole_ms;
use crate::join::config::{JoinConfig, Kind};
use crate::join::joined::{Pair, borrowed, rows};
use crate::join::shape::{Alone, Shape};
use crate::join::side::Row;
use crate::join::tables::Tables;
use crate::join::times::Times;
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;
use crate::window::Late;

/// The port of the rows that come behind the watermark.
const LATE: OutputPort = OutputPort(1);
/// So many pairs are gathered before they go out.
const PAIRS_MAX: usize = 8_192;

/// Which rows belong together by their times.
pub(super) trait Rule: Send + Sync {
    /// Lets a row that came meet rows that wait, and keeps it, if something may come that it meets. What comes back has to be
    /// given again: it meets so many that some of them are left.
    fn meet(
        &self,
        kept: &mut Kept,
        shape: Option<&Shape>,
        arrived: Arrived,
        made: &mut Vec<Pair>,
    ) -> Result<Option<Arrived>>;

    /// Lets some rows go that nothing meets any more, now that nothing comes until the instant `last` (`i64::MAX`: nothing at
    /// all); true when there may be more of them.
    fn close(&self, kept: &mut Kept, shape: Option<&Shape>, last: i64, made: &mut Vec<Pair>) -> Result<bool>;

    /// No event time of a row that goes out from now on lies behind this, when none that comes lies behind `closed`.
    fn behind(&self, closed: i64) -> i64;
}

/// A row that came.
pub(super) struct Arrived {
    /// 0 for the left table, 1 for the right one.
    pub(super) side: usize,
    pub(super) row: Row,
    pub(super) ms: i64,
    pub(super) is_met: bool,
    /// The key of the last row that it met.
    pub(super) behind: Option<Vec<u8>>,
}

/// A join by event time.
pub(super) struct TimedJoin<R> {
    rule: R,
    kind: Kind,
    late: Late,
    lateness_ms: i64,
    memory_bytes: usize,
    tables: Tables,
    times: Times,
    kept: Option<Kept>,
    made: Vec<Pair>,
    /// The inputs were silent, and those behind were told so.
    is_idle: bool,
}

impl<R: Rule> TimedJoin<R> {
    /// # Errors
    /// `Config` for settings that were not checked.
    pub(super) fn new(config: JoinConfig, rule: R) -> Result<Self> {
        let times = Times::new(&config)?;
        let by = format!(" in {:?} {:?}", config.interval, config.as_of);
        Ok(Self {
            rule,
            kind: config.kind,
            late: config.late,
            lateness_ms: config.lateness.map_or(0, whole_ms),
            memory_bytes: config.memory.0 as usize,
            tables: Tables::new(config, by),
            times,
            kept: None,
            made: Vec::new(),
            is_idle: false,
        })
    }

    /// Binds a table's relation; true when both became known by it.
    fn bind(&mut self, side: usize, relation: &Arc<Relation>) -> Result<bool> {
        let kept = opened(&mut self.kept)?;
        self.tables.bind(side, relation, &mut kept.store)
    }

    /// Both tables have become known: rows go out that waited for that.
    async fn catch_up(&mut self, out: &mut dyn Output) -> Result<()> {
        let closed = opened(&mut self.kept)?.closed;
        if closed == i64::MIN {
            return Ok(());
        }
        self.close(closed.saturating_sub(1), out).await?;
        out.advance(Watermark::EventTimeMs(self.rule.behind(closed)))
    }

    /// Lets rows go that nothing meets any more.
    async fn close(&mut self, last: i64, out: &mut dyn Output) -> Result<()> {
        loop {
            let shape = self.tables.shape();
            let more = self.rule.close(opened(&mut self.kept)?, shape.as_deref(), last, &mut self.made)?;
            self.send(0, None, out).await?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Sends what was made, once it is more than this.
    async fn send(&mut self, at_least: usize, ingested_at_ms: Option<i64>, out: &mut dyn Output) -> Result<()> {
        if self.made.len() <= at_least {
            return Ok(());
        }
        let Some(shape) = self.tables.shape() else { return Err(Error::bug("a pair of tables that are not known")) };
        let made = std::mem::take(&mut self.made);
        let batch = Batch::inserts(shape.output.clone(), rows(&shape, &borrowed(&made))?)?;
        let batch = match ingested_at_ms {
            Some(ms) => batch.with_ingested_at_ms(ms),
            None => batch,
        };
        out.emit(OutputPort::MAIN, batch).await
    }

    /// True while rows wait for the other table to become known: they go out behind any watermark.
    fn waits_for_columns(&self) -> bool {
        self.tables.shape().is_none() && Alone::of(self.kind).contains(&Alone::WithoutPartner)
    }

    async fn send_late(&mut self, batch: &Batch, late: &[usize], out: &mut dyn Output) -> Result<()> {
        match self.late {
            _ if late.is_empty() => Ok(()),
            Late::Port => {
                let mut chosen = vec![false; batch.num_rows()];
                late.iter().for_each(|&row| chosen[row] = true);
                out.emit(LATE, batch.select(&BooleanArray::from(chosen))?).await
            }
            Late::Refuse => {
                let reason = "it is late: the watermark has passed its event time";
                reject(batch, &late.iter().map(|&row| (row, reason.to_owned())).collect::<Vec<_>>(), out)
            }
        }
    }
}

#[async_trait]
impl<R: Rule> Operator for TimedJoin<R> {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes: self.memory_bytes };
        let mut store = Store::open(settings, state.as_ref())?;
        self.tables.open(context, &mut store)?;
        self.kept = Some(Kept::new(store, self.lateness_ms)?);
        Ok(())
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let side = self.tables.side_of(port, batch.relation().name())?;
        if self.bind(side, batch.relation())? {
            self.catch_up(out).await?;
        }
        let Some(table) = self.tables.get(side).map(|table| table.side.clone()) else {
            return Err(Error::bug("a table of a join is not bound"));
        };
        let of_time = self.times.columns(side, batch.relation())?;
        check_whole_inserts(&batch, table.used.iter().chain(&of_time))?;
        let (times, mut refused) = self.times.of(side, &batch)?;
        let evaluated = table.evaluate(&table.narrowed(&batch)?, None)?;
        refused.extend(evaluated.failed.iter().cloned());
        refused.sort_by_key(|(row, _)| *row);
        refused.dedup_by_key(|(row, _)| *row);
        reject(&batch, &refused, out)?;
        let shape = self.tables.shape();
        let mut late = Vec::new();
        for (i, ms) in times.into_iter().enumerate() {
            if refused.binary_search_by_key(&i, |(row, _)| *row).is_ok() {
                continue;
            }
            let Some(ms) = ms else { return Err(Error::bug("a row without an event time was not refused")) };
            if ms < opened(&mut self.kept)?.closed {
                late.push(i);
                continue;
            }
            let mut next = Some(Arrived { side, row: evaluated.row(i), ms, is_met: false, behind: None });
            while let Some(arrived) = next {
                next = self.rule.meet(opened(&mut self.kept)?, shape.as_deref(), arrived, &mut self.made)?;
                self.send(PAIRS_MAX, Some(batch.ingested_at_ms()), out).await?;
            }
        }
        self.send(0, Some(batch.ingested_at_ms()), out).await?;
        self.send_late(&batch, &late, out).await
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        if self.late == Late::Port {
            out.announce(LATE, change.clone()).await?;
        }
        self.tables.follow(&change);
        let side = self.tables.side_of(port, change.relation.name())?;
        if self.bind(side, &change.relation)? {
            if let Some(shape) = self.tables.shape() {
                let created = SchemaChange::new(shape.output.clone(), Change::CreateTable);
                out.announce(OutputPort::MAIN, created).await?;
            }
            self.catch_up(out).await?;
        }
        match change.change {
            // Rows that wait are no more; what went out is history.
            Change::Truncate | Change::DropTable => opened(&mut self.kept)?.clear(side),
            _ => Ok(()),
        }
    }

    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        let Watermark::EventTimeMs(ms) = watermark else {
            self.is_idle = true;
            return Ok(Some(watermark));
        };
        let was_idle = std::mem::take(&mut self.is_idle);
        let kept = opened(&mut self.kept)?;
        let has_risen = kept.rise(ms)?;
        let closed = kept.closed;
        if has_risen {
            if self.waits_for_columns() {
                self.tables.declare()?;
            }
            self.close(closed.saturating_sub(1), out).await?;
        }
        let passes = (has_risen || was_idle) && !self.waits_for_columns();
        Ok(passes.then(|| Watermark::EventTimeMs(self.rule.behind(closed))))
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        opened(&mut self.kept)?.snapshot()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        if self.waits_for_columns() {
            self.tables.declare()?;
        }
        self.close(i64::MAX, out).await?;
        let alone = Alone::of(self.kind);
        for side in (0..2).filter(|side| alone[*side] == Alone::WithoutPartner) {
            if self.tables.shape().is_none() && !opened(&mut self.kept)?.is_empty(Queue::OfTable(side))? {
                return Err(self.tables.unknown(side));
            }
        }
        Ok(())
    }
}

fn opened(kept: &mut Option<Kept>) -> Result<&mut Kept> {
    kept.as_mut().ok_or_else(|| Error::bug("a join before open"))
}

/// # Errors
/// `Data` for updates, deletes, and rows without all of the values that are needed.
fn check_whole_inserts<'a>(batch: &Batch, mut used: impl Iterator<Item = &'a usize>) -> Result<()> {
    let name = batch.relation().name();
    if !batch.is_append_only() {
        return Err(Error::new(ErrorKind::Data, format!("updates or deletes of {name} came"))
            .with_hint("a join by event time takes inserts only; write `mode: changelog` for tables that change"));
    }
    let is_absent = |column: &usize| batch.present(*column).is_some_and(|mask| mask.false_count() > 0);
    if used.any(is_absent) {
        let text = format!("a row of {name} came without all of its values");
        return Err(Error::new(ErrorKind::Data, text).with_hint("let the source send whole rows"));
    }
    Ok(())
}
