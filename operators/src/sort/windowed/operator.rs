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
use crate::bindings::Bindings;
use crate::kept_relation;
use crate::sort::config::Settings;
use crate::sql::Expression;
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;
use crate::window::Late;

/// The port of the rows whose window is closed.
const LATE: OutputPort = OutputPort(1);
/// The key under which the state says what it depends on.
const SHAPE: &[u8] = b"S";
/// The key of the input's relation.
const INPUT: &[u8] = b"I";

/// See the module.
pub(in crate::sort) struct Windowed {
    settings: Settings,
    until: Expression,
    /// The table that is read, in its last version.
    input: Option<Arc<Relation>>,
    bound: Bindings<Arc<Bound>>,
    kept: Option<Kept>,
}

impl Windowed {
    pub(in crate::sort) fn new(settings: Settings, until: Expression) -> Self {
        Self { settings, until, input: None, bound: Bindings::default(), kept: None }
    }

    /// Sends the rows of windows that end at or before `limit`.
    async fn close(&mut self, limit: i64, out: &mut dyn Output) -> Result<()> {
        let bound = match self.input.clone() {
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
        if let Some(input) = self.input.as_ref().filter(|input| input.name() != relation.name()) {
            let text =
                format!("rows of two tables, {} and {}, would be sorted together", input.name(), relation.name());
            return Err(Error::config(text).with_setting("tables").with_hint(
                "name one of them: `tables: [orders]`; to sort several as one, put them into one table first (`Union`)",
            ));
        }
        let (settings, until) = (&self.settings, &self.until);
        let mut is_new = false;
        let bound = self.bound.get(relation, || {
            is_new = true;
            Ok(Arc::new(Bound::new(settings, until, relation)?))
        })?;
        let bound = bound.clone();
        let is_known = self.input.as_ref().is_some_and(|input| Arc::ptr_eq(input, relation) || input == relation);
        if is_new || !is_known {
            self.keep(relation, &bound)?;
        }
        Ok(bound)
    }

    /// Keeps what the state depends on, and what is needed to send rows before the input has sent one again.
    fn keep(&mut self, relation: &Arc<Relation>, bound: &Bound) -> Result<()> {
        let store = &mut opened(&mut self.kept)?.store;
        if store.get(SHAPE)?.is_some_and(|shape| shape != bound.shape.as_bytes()) {
            let text = format!("the order, or the columns of {}, are others now", relation.name());
            return Err(Error::new(ErrorKind::Schema, text)
                .with_hint("put the settings back, or start over with `aqueduct checkpoint reset`"));
        }
        store.put(SHAPE.to_vec(), bound.shape.clone().into_bytes())?;
        store.put(INPUT.to_vec(), kept_relation::write(relation)?)?;
        self.input = Some(relation.clone());
        Ok(())
    }
}

#[async_trait]
impl Operator for Windowed {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        let memory_bytes = self.settings.memory.0 as usize;
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes };
        let mut store = Store::open(settings, state.as_ref())?;
        self.input = store.get(INPUT)?.map(|bytes| kept_relation::read(&bytes)).transpose()?;
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
        if let Change::RenameTable { from } = &change.change
            && self.input.as_ref().is_some_and(|input| input.name() == from)
        {
            self.input = None;
        }
        let bound = self.bind(&change.relation)?;
        if matches!(change.change, Change::Truncate | Change::DropTable) {
            // The windows that are open have no rows any more; those that are closed are history.
            opened(&mut self.kept)?.clear()?;
            return self.keep(&change.relation, &bound);
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
