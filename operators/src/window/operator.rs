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
use crate::group::{Columns, Values, moves};
use crate::one_table::{OneTable, Words};
use crate::state::{Store, StoreSettings};
use crate::verdicts::reject;

/// The entry of `Window`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

/// The port of the rows whose window is closed.
const LATE: OutputPort = OutputPort(1);
const WORDS: Words = Words {
    together: "counted together",
    as_one: "count several as one",
    shape: "the windows, or the columns that are summed,",
};

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
        Ok(Box::new(Window { settings, config, table: String::new(), input: OneTable::new(WORDS), panes: None }))
    }
}

struct Window {
    settings: Settings,
    config: WindowConfig,
    /// The name of the output table.
    table: String,
    input: OneTable<Bound>,
    panes: Option<Panes>,
}

#[async_trait]
impl Operator for Window {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.table = self.config.table.clone().unwrap_or_else(|| context.task.clone());
        let memory_bytes = self.config.state_memory.0 as usize;
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes };
        let mut store = Store::open(settings, state.as_ref())?;
        self.input.restore(&mut store)?;
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
        self.input.follow(&change.change);
        let bound = self.bind(&change.relation)?;
        match change.change {
            Change::CreateTable => {
                out.announce(OutputPort::MAIN, SchemaChange::new(bound.output.clone(), Change::CreateTable)).await
            }
            // The windows that are open have no rows any more; those that are closed are history.
            Change::Truncate | Change::DropTable => {
                let panes = opened(&mut self.panes)?;
                panes.clear()?;
                self.input.keep(&change.relation, &mut panes.store, &bound)
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
        let Some(input) = self.input.last() else {
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
        let store = &mut opened(&mut self.panes)?.store;
        self.input.bind(relation, store, || Bound::new(&self.settings, relation, &self.table))
    }
}
