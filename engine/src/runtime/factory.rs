//! Where a run gets its plugin values from.

use aqueduct_model::{Build, Error, Operator, Result, Sink, Source};

use crate::plan::PlannedTask;

/// Makes fresh plugin values for every generation of a run.
///
/// The default takes them from the plan. `verify` and `preview` put their own ends on the same graph.
pub trait PluginFactory: Send + Sync {
    /// Makes a source.
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        match task.entry.build {
            Build::Source { build, .. } => build(&task.config),
            _ => Err(Error::bug(format!("{} is not a source", task.entry.name))),
        }
    }

    /// Makes an operator.
    fn operator(&self, task: &PlannedTask) -> Result<Box<dyn Operator>> {
        match task.entry.build {
            Build::Operator { build } => build(&task.config),
            _ => Err(Error::bug(format!("{} is not an operator", task.entry.name))),
        }
    }

    /// Makes a sink.
    fn sink(&self, task: &PlannedTask) -> Result<Box<dyn Sink>> {
        match task.entry.build {
            Build::Sink { build, .. } => build(&task.config),
            _ => Err(Error::bug(format!("{} is not a sink", task.entry.name))),
        }
    }
}

/// Makes what the plan says.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlannedPlugins;

impl PluginFactory for PlannedPlugins {}
