//! The ends and taps that a test puts on a flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::PluginFactory;
use aqueduct_model::{Build, Error, Operator, PluginKind, Result, Sink, Source};

use super::recorder::{Place, Recorder, Seen};
use super::script::{Gift, Script, Stage};
use super::source::ScriptedSource;
use super::tap::{Memory, Tap};

/// See the module.
pub(super) struct TestPlugins {
    script: Arc<Script>,
    stage: Arc<Stage>,
    /// The turn in which the last sources are opened.
    last_turn: usize,
    /// By operator: the tables that it is limited to.
    tables: BTreeMap<String, Vec<String>>,
    recorder: Recorder,
}

impl TestPlugins {
    /// Takes `tables:` out of the plan: the taps do what it says.
    pub(super) fn new(plan: &mut Plan, script: Script, recorder: Recorder) -> Self {
        let sources = || plan.tasks.iter().filter(|task| task.kind() == PluginKind::Source);
        let last_turn = sources().map(|task| task.turn).max().unwrap_or_default();
        let last_sources = sources().filter(|task| task.turn == last_turn).count();
        let tables = plan.tasks.iter_mut().map(|task| (task.id.clone(), std::mem::take(&mut task.tables))).collect();
        let (script, stage) = (Arc::new(script), Arc::new(Stage::new(last_sources)));
        Self { script, stage, last_turn, tables, recorder }
    }

    /// What the sources give, for the places that are compared: sources have no tap.
    pub(super) fn given(&self, source: &str) -> Vec<Seen> {
        let gifts = self.script.gifts.get(source);
        let seen = |gift: &Gift| match gift {
            Gift::Batch(batch) => Seen::Rows(batch.clone()),
            Gift::Schema(change) => Seen::Schema(change.clone()),
        };
        gifts.into_iter().flat_map(|gifts| gifts.values()).map(seen).collect()
    }

    /// Where a source meets the others for restarts. One whose turn comes earlier has ended by then.
    fn restarts(&self, task: &PlannedTask) -> Option<Arc<Stage>> {
        (task.turn == self.last_turn).then(|| self.stage.clone())
    }

    /// What was seen at a place.
    pub(super) fn at(&self, task: &PlannedTask, place: Place) -> Vec<Seen> {
        match task.entry.build {
            Build::Source { .. } => self.given(&task.id),
            _ => self.recorder.at(&task.id, place),
        }
    }
}

impl PluginFactory for TestPlugins {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        Ok(Box::new(ScriptedSource::new(&task.id, self.script.clone(), self.restarts(task))))
    }

    fn operator(&self, task: &PlannedTask) -> Result<Box<dyn Operator>> {
        let Build::Operator { build } = task.entry.build else {
            return Err(Error::bug(format!("{} is not an operator", task.entry.name)));
        };
        let tables = self.tables.get(&task.id).cloned().unwrap_or_default();
        Ok(Box::new(Tap::new(build(&task.config)?, task, tables, self.recorder.clone())))
    }

    fn sink(&self, task: &PlannedTask) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Memory::new(&task.id, self.recorder.clone())))
    }
}
