//! `SubFlow`: an item is one run.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{
    Batch, ChangeSupport, Operator, OperatorPlugin, PluginEntry, Properties, Result, RunRequest, Runs, bind_row,
    operator,
};
use serde_json::Value;

use super::config::SubFlowConfig;
use crate::runs::{ByRuns, Ending, ItemEnd, Job, PORTS, Queue, Rules, columns_as_params, params, rows_of, run_once};

/// The entry of `SubFlow`.
pub const ENTRY: PluginEntry = operator::<Plugin>();

struct Plugin;

impl OperatorPlugin for Plugin {
    const NAME: &'static str = "SubFlow";
    const SUMMARY: &'static str = "Runs another flow once per row, several at a time, each exactly once.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = SubFlowConfig;

    fn properties(_: &SubFlowConfig) -> Properties {
        runs_flows()
    }

    fn build(config: SubFlowConfig) -> Result<Box<dyn Operator>> {
        let rules = Rules { parallel: config.parallel.get(), keep: config.keep.clone() };
        Ok(Box::new(ByRuns { queue: Queue::new(Arc::new(OneRun(config)), rules) }))
    }
}

/// What an operator is that runs flows.
pub(crate) fn runs_flows() -> Properties {
    Properties {
        inputs: (1, usize::MAX),
        outputs: PORTS.map(str::to_owned).to_vec(),
        changes: ChangeSupport::AppendOnly,
        stateful: true,
        runs_flows: true,
        ..Properties::operator()
    }
}

struct OneRun(SubFlowConfig);

impl Job for OneRun {
    fn work(&self, runs: Arc<dyn Runs>, name: String, row: &Batch) -> Result<Ending> {
        let (given, declared_only) = given(self.0.params.as_ref(), row)?;
        let request = RunRequest { name, flow: self.0.flow.clone(), params: given, declared_only };
        let on_error = self.0.on_error;
        Ok(Box::pin(async move {
            let end = run_once(runs.as_ref(), request, on_error).await?;
            let rows = rows_of(&end.returned);
            Ok(ItemEnd { failure: end.failure, returned: end.returned, rows, took_ms: end.took_ms, runs: 1 })
        }))
    }
}

/// The parameters for one row, and whether those that the flow does not declare are left out.
pub(crate) fn given(wanted: Option<&BTreeMap<String, Value>>, row: &Batch) -> Result<(BTreeMap<String, String>, bool)> {
    let Some(wanted) = wanted else { return Ok((columns_as_params(row)?, true)) };
    let wanted = Value::Object(wanted.iter().map(|(name, value)| (name.clone(), value.clone())).collect());
    let bound = bind_row(&wanted, row.rows(), 0).map_err(|error| error.with_setting("params"))?;
    Ok((params(bound), false))
}
