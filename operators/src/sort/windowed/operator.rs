//! The order within windows, at work.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, Output, OutputPort, Relation, Result,
    SchemaChange, State, Watermark,
};
use arrow::array::BooleanArray;
use async_trait::async_trait;

use super::bound::Bound;
use super::kept::Kept;
use crate::one_table::{OneTable, Words};
use crate::sort::config::Settings;
use crate::sql::Expression;
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;
use crate::window::Late;

/// The port of the rows whose window is closed.
const LATE: OutputPort = OutputPort(1);
const WORDS: Words =
    Words { together: "sorted together", as_one: "sort several as one", shape: "the order, or the columns" };

/// See the module.
pub(in crate::sort) struct Windowed {
    settings: Settings,
    until: Expression,
    input: OneTable<Bound>,
    kept: Option<Kept>,
}

impl Windowed {
    pub(in crate::sort) fn new(settings: Settings, until: Expression) -> Self {
        Self { settings, until, input: OneTable::new(WORDS), kept: None }
    }

    /// Sends the rows of windows that end at or before `limit`.
    async fn close(&mut self, limit: i64, out: &mut dyn Output) -> Result<()> {
        let bound = match self.input.last() {
            Some(input) => Some(self.bind(&input)?),
            None => None,
        };
        loop {
            let (rows, more) = opened(&mut self.kept)?.close(limit)?;
            if let (Some(bound), false) = (&bound, rows.is_empty()) {
                out.emit(OutputPort::MAIN, bound.batch(&rows)?).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The settings, bound to a version of the one table that is read.
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<Arc<Bound>> {
        let store = &mut opened(&mut self.kept)?.store;
        self.input.bind(relation, store, || Bound::new(&self.settings, &self.until, relation))
    }
}

#[async_trait]
impl Operator for Windowed {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        let memory_bytes = self.settings.memory.0 as usize;
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes };
        let mut store = Store::open(settings, state.as_ref())?;
        self.input.restore(&mut store)?;
        self.kept = Some(Kept::new(store, self.settings.first)?);
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        if batch.has_absent() {
            let text = format!("a row of {} came without all of its values", batch.relation().name());
            return Err(Error::new(ErrorKind::Data, text).with_hint("let the source send whole rows"));
        }
        let bound = self.bind(batch.relation())?;
        let places = bound.places(&batch)?;
        reject(&batch, &places.refused, out)?;
        let late = opened(&mut self.kept)?.take_in(&bound, &batch, &places)?;
        if late.is_empty() {
            return Ok(());
        }
        match self.settings.late {
            Late::Port => {
                let mut chosen = vec![false; batch.num_rows()];
                late.iter().for_each(|&row| chosen[row] = true);
                out.emit(LATE, batch.select(&BooleanArray::from(chosen))?).await
            }
            Late::Refuse => {
                let reason = "it is late: the watermark has passed the end of its window";
                reject(&batch, &late.iter().map(|&row| (row, reason.to_owned())).collect::<Vec<_>>(), out)
            }
        }
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        if self.settings.late == Late::Port {
            out.announce(LATE, change.clone()).await?;
        }
        self.input.follow(&change.change);
        let bound = self.bind(&change.relation)?;
        if matches!(change.change, Change::Truncate | Change::DropTable) {
            // The windows that are open have no rows any more; those that are closed are history.
            let kept = opened(&mut self.kept)?;
            kept.clear()?;
            return self.input.keep(&change.relation, &mut kept.store, &bound);
        }
        out.announce(OutputPort::MAIN, change).await
    }

    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        let Watermark::EventTimeMs(ms) = watermark else { return Ok(Some(watermark)) };
        if !opened(&mut self.kept)?.rise(ms)? {
            return Ok(None);
        }
        self.close(ms, out).await?;
        Ok(Some(watermark))
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        opened(&mut self.kept)?.store.snapshot()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.close(i64::MAX, out).await
    }
}

fn opened(kept: &mut Option<Kept>) -> Result<&mut Kept> {
    kept.as_mut().ok_or_else(|| Error::bug("a sort before open"))
}
