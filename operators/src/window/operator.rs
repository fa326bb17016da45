//! `Window` at work.

use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, ChangeSupport, Epoch, Error, ErrorKind, InputPort, Operator, OperatorContext, OperatorPlugin,
    Output, OutputPort, PluginEntry, Properties, Relation, Result, SchemaChange, State, Watermark, operator,
};
use arrow::array::BooleanArray;
use async_trait::async_trait;

use super::bound::Bound;
use super::config::{Late, Settings, WindowConfig};
use super::panes::{Panes, origins};
use crate::bindings::Bindings;
use crate::group::{Columns, Values, moves};
use crate::kept_relation;
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;

/// The entry of `Window`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// The port of the rows whose window is closed.
const LATE: OutputPort = OutputPort(1);
/// The key under which the state says what it depends on.
const SHAPE: &[u8] = b"S";
/// The key of the input's relation.
const INPUT: &[u8] = b"I";

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "Window";
    const SUMMARY: &'static str = "Totals per window of event time: tumbling, hopping, or by session.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = WindowConfig;

    fn properties(config: &WindowConfig) -> Properties {
        let mut outputs = vec!["out".to_owned()];
        outputs.extend((config.late == Late::Port).then(|| "late".to_owned()));
        let changes = if config.changes { ChangeSupport::Changes } else { ChangeSupport::AppendOnly };
        Properties {
            outputs,
            changes,
            needs_event_time: true,
            stateful: true,
            blocking: true,
            ..Properties::operator()
        }
    }

    fn validate(config: &WindowConfig) -> Result<()> {
        config.parse().map(drop)
    }

    fn build(config: WindowConfig) -> Result<Box<dyn Operator>> {
        let settings = config.parse()?;
        Ok(Box::new(Window {
            settings,
            config,
            table: String::new(),
            input: None,
            bound: Bindings::default(),
            panes: None,
        }))
    }
}

struct Window {
    settings: Settings,
    config: WindowConfig,
    /// The name of the output table.
    table: String,
    /// The table that is read, in its last version.
    input: Option<Arc<Relation>>,
    bound: Bindings<Arc<Bound>>,
    panes: Option<Panes>,
}

#[async_trait]
impl Operator for Window {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.table = self.config.table.clone().unwrap_or_else(|| context.task.clone());
        let memory_bytes = self.config.state_memory.0 as usize;
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes };
        let mut store = Store::open(settings, state.as_ref())?;
        self.input = store.get(INPUT)?.map(|bytes| kept_relation::read(&bytes)).transpose()?;
        let values = if self.config.changes { Values::Kept } else { Values::Forgotten };
        self.panes = Some(Panes::new(store, self.settings.frame, self.settings.lateness_ms, values)?);
        Ok(())
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        if !self.config.changes && !batch.is_append_only() {
            return Err(Error::new(ErrorKind::Data, format!("updates or deletes of {} came", batch.relation().name()))
                .with_setting("changes")
                .with_hint("write `changes: true`"));
        }
        let bound = self.bind(batch.relation())?;
        let panes = opened(&mut self.panes)?;
        let moves = moves(&bound.group, &mut panes.store, &batch, false).map_err(|error| {
            Error::new(error.kind(), error.to_string()).with_setting("changes").with_hint(
                "windows remember no rows: have the source send whole old ones (binlog_row_image=FULL, \
                 REPLICA IDENTITY FULL)",
            )
        })?;
        let columns = Columns::evaluate(&bound.group, &moves)?;
        let added = columns.failed.iter().filter(|(i, _)| moves.signs[*i] > 0);
        let refused: Vec<(usize, String)> = added.map(|(i, reason)| (moves.origins[*i], reason.clone())).collect();
        reject(&batch, &refused, out)?;
        let late = panes.take_in(&bound, &moves, &columns)?;
        if late.is_empty() {
            return Ok(());
        }
        let late = origins(&batch, &moves, &late);
        match self.config.late {
            Late::Port => out.emit(LATE, batch.select(&BooleanArray::from(late))?).await,
            Late::Refuse => {
                let reason = "it is late: the watermark has passed the end of its window";
                let rows = late.iter().enumerate().filter(|(_, late)| **late).map(|(i, _)| (i, reason.to_owned()));
                reject(&batch, &rows.collect::<Vec<_>>(), out)
            }
        }
    }

    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        if self.config.late == Late::Port {
            out.announce(LATE, change.clone()).await?;
        }
        if let Change::RenameTable { from } = &change.change
            && self.input.as_ref().is_some_and(|input| input.name() == from)
        {
            self.input = None;
        }
        let bound = self.bind(&change.relation)?;
        match change.change {
            Change::CreateTable => {
                out.announce(OutputPort::MAIN, SchemaChange::new(bound.output.clone(), Change::CreateTable)).await
            }
            // The windows that are open have no rows any more; those that are closed are history.
            Change::Truncate | Change::DropTable => {
                opened(&mut self.panes)?.clear()?;
                self.keep(&change.relation, &bound)
            }
            _ => Ok(()),
        }
    }

    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        let Watermark::EventTimeMs(ms) = watermark else { return Ok(Some(watermark)) };
        let Some(limit) = opened(&mut self.panes)?.rise(ms)? else { return Ok(None) };
        self.close(limit, out).await?;
        // What is emitted from here on ends behind this.
        Ok(Some(Watermark::EventTimeMs(limit)))
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        opened(&mut self.panes)?.store.snapshot()
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.close(i64::MAX, out).await
    }
}

fn opened(panes: &mut Option<Panes>) -> Result<&mut Panes> {
    panes.as_mut().ok_or_else(|| Error::bug("a window before open"))
}

impl Window {
    /// Sends the windows that end at or before `limit`.
    async fn close(&mut self, limit: i64, out: &mut dyn Output) -> Result<()> {
        let Some(input) = self.input.clone() else {
            // No row ever came.
            opened(&mut self.panes)?.closed = limit;
            return Ok(());
        };
        let bound = self.bind(&input)?;
        loop {
            let closed = opened(&mut self.panes)?.close(&bound, limit)?;
            if closed.is_empty() {
                return Ok(());
            }
            out.emit(OutputPort::MAIN, bound.rows(&closed)?).await?;
        }
    }

    /// The settings, bound to a version of the one table that is read.
    fn bind(&mut self, relation: &Arc<Relation>) -> Result<Arc<Bound>> {
        if let Some(input) = self.input.as_ref().filter(|input| input.name() != relation.name()) {
            let text =
                format!("rows of two tables, {} and {}, would be counted together", input.name(), relation.name());
            return Err(Error::config(text).with_setting("tables").with_hint(
                "name one of them: `tables: [orders]`; to count several as one, put them into one table first (`Union`)",
            ));
        }
        let (settings, table) = (&self.settings, &self.table);
        let mut is_new = false;
        let bound = self.bound.get(relation, || {
            is_new = true;
            Ok(Arc::new(Bound::new(settings, relation, table)?))
        })?;
        let bound = bound.clone();
        let is_known = self.input.as_ref().is_some_and(|input| Arc::ptr_eq(input, relation) || input == relation);
        if is_new || !is_known {
            self.keep(relation, &bound)?;
        }
        Ok(bound)
    }

    /// Keeps what the state depends on, and what is needed to send windows before the input has sent a row again.
    fn keep(&mut self, relation: &Arc<Relation>, bound: &Bound) -> Result<()> {
        let store = &mut opened(&mut self.panes)?.store;
        if store.get(SHAPE)?.is_some_and(|shape| shape != bound.shape.as_bytes()) {
            let text = format!("the windows, or the columns of {} that are summed, are others now", relation.name());
            return Err(Error::new(ErrorKind::Schema, text)
                .with_hint("put the settings back, or start over with `aqueduct checkpoint reset`"));
        }
        store.put(SHAPE.to_vec(), bound.shape.clone().into_bytes())?;
        store.put(INPUT.to_vec(), kept_relation::write(relation)?)?;
        self.input = Some(relation.clone());
        Ok(())
    }
}
