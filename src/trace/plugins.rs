//! Puts the taps on a flow.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::PluginFactory;
use aqueduct_model::{Build, Error, Operator, Result, Sink, Source};

use super::key::Key;
use super::log::TraceLog;
use super::taps::{TracedOperator, TracedSink, TracedSource};
use crate::replay::RecordedSource;

/// See the module.
pub(crate) struct TracePlugins {
    key: Arc<Key>,
    log: TraceLog,
    /// Rows to read from every source.
    rows: usize,
    /// By operator: the tables that it is limited to.
    tables: BTreeMap<String, Vec<String>>,
    /// The folder of a recording that is read instead of the sources.
    recording: Option<PathBuf>,
}

impl TracePlugins {
    /// Takes `tables:` out of the plan: the taps do what it says.
    pub(crate) fn new(plan: &mut Plan, key: Key, rows: usize, recording: Option<PathBuf>) -> Self {
        let tables = plan.tasks.iter_mut().map(|task| (task.id.clone(), std::mem::take(&mut task.tables))).collect();
        Self { key: Arc::new(key), log: TraceLog::default(), rows, tables, recording }
    }

    pub(crate) fn log(&self) -> &TraceLog {
        &self.log
    }
}

impl PluginFactory for TracePlugins {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        let Build::Source { build, scan } = task.entry.build else {
            return Err(Error::bug(format!("{} is not a source", task.entry.name)));
        };
        let inner: Box<dyn Source> = match (&self.recording, scan(&task.config)) {
            (Some(folder), _) => Box::new(RecordedSource::new(folder, &task.id)),
            (None, Some(scan)) => scan?,
            (None, None) => build(&task.config)?,
        };
        let (task, key, log) = (task.id.clone(), self.key.clone(), self.log.clone());
        Ok(Box::new(TracedSource { inner, task, key, log, left: self.rows, parts: VecDeque::new() }))
    }

    fn operator(&self, task: &PlannedTask) -> Result<Box<dyn Operator>> {
        let Build::Operator { build } = task.entry.build else {
            return Err(Error::bug(format!("{} is not an operator", task.entry.name)));
        };
        Ok(Box::new(TracedOperator {
            inner: build(&task.config)?,
            task: task.id.clone(),
            tables: self.tables.get(&task.id).cloned().unwrap_or_default(),
            ports: task.properties.outputs.len(),
            key: self.key.clone(),
            log: self.log.clone(),
            inputs: BTreeMap::new(),
        }))
    }

    fn sink(&self, task: &PlannedTask) -> Result<Box<dyn Sink>> {
        Ok(Box::new(TracedSink { task: task.id.clone(), log: self.log.clone(), batches: 0, came: false }))
    }
}
