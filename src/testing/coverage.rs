//! Which ports and branches of a flow its tests have seen rows at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aqueduct_engine::plan::Plan;
use aqueduct_model::{Cardinality, PluginKind};

use super::plugins::TestPlugins;
use super::recorder::{Place, Recorder, Seen};

/// By flow: what may be seen, and how many rows were.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<PathBuf, Vec<Branch>>);

/// One way that rows can take.
#[derive(Debug, Clone)]
struct Branch {
    /// `task.port`, or what the task does.
    name: String,
    rows: usize,
}

impl Coverage {
    /// Adds what a test has seen.
    pub(super) fn add(&mut self, flow: &Path, plan: &Plan, plugins: &TestPlugins, recorder: &Recorder) {
        let branches = branches(plan, plugins, recorder);
        match self.0.get_mut(flow) {
            // Parameters may change the ports of a flow.
            Some(known) => {
                for branch in branches {
                    match known.iter_mut().find(|known| known.name == branch.name) {
                        Some(known) => known.rows += branch.rows,
                        None => known.push(branch),
                    }
                }
            }
            None => {
                self.0.insert(flow.to_owned(), branches);
            }
        }
    }

    /// A line per flow, with what was never seen under it.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        for (flow, branches) in &self.0 {
            let missed: Vec<&str> =
                branches.iter().filter(|branch| branch.rows == 0).map(|branch| branch.name.as_str()).collect();
            let seen = branches.len() - missed.len();
            text.push_str(&format!("coverage {}: {seen} of {} ways saw rows\n", flow.display(), branches.len()));
            if !missed.is_empty() {
                text.push_str(&format!("  never: {}\n", missed.join(", ")));
            }
        }
        text
    }
}

/// A way per output port, per target, and one for the rows that a filter leaves out.
fn branches(plan: &Plan, plugins: &TestPlugins, recorder: &Recorder) -> Vec<Branch> {
    let mut branches = Vec::new();
    for task in &plan.tasks {
        let ports = &task.properties.outputs;
        let port = |port: &String| if ports.len() > 1 { format!("{}.{port}", task.id) } else { task.id.clone() };
        match task.kind() {
            PluginKind::Source => {
                branches.push(Branch { name: task.id.clone(), rows: count(&plugins.given(&task.id)) })
            }
            PluginKind::Sink => {
                branches.push(Branch { name: task.id.clone(), rows: recorder.rows_at(&task.id, Place::Input) });
            }
            PluginKind::Operator => {
                let out = |index| recorder.rows_at(&task.id, Place::Output(index));
                let seen = ports.iter().enumerate().map(|(index, name)| Branch { name: port(name), rows: out(index) });
                branches.extend(seen);
                if task.properties.cardinality == Cardinality::Filtering {
                    let kept: usize = (0..ports.len()).map(out).sum();
                    let given = recorder.rows_at(&task.id, Place::Input);
                    let refused = recorder.refused(&task.id).len();
                    let rows = given.saturating_sub(kept + refused);
                    branches.push(Branch { name: format!("{} (a row left out)", task.id), rows });
                }
            }
        }
    }
    branches
}

fn count(seen: &[Seen]) -> usize {
    seen.iter().map(|seen| if let Seen::Rows(batch) = seen { batch.num_rows() } else { 0 }).sum()
}
