//! Which runs this process has under way: none is started beside itself, and each can be paused and cancelled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aqueduct_model::{Error, Result};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::runtime::{FlowHandle, FlowState};

/// Between a flow's folder and those of its runs.
const INSIDE: &str = "state/runs/";

/// What can be done with one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steer {
    /// Drain to an epoch, let go of all connections, wait.
    Pause,
    /// Go on.
    Resume,
    /// Drain to an epoch and end as failed; not run again.
    Cancel,
}

/// A run that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// `task/item`, and so on for runs of runs.
    pub name: String,
    /// What it is doing.
    #[serde(flatten)]
    pub state: FlowState,
    /// Rows that its sources have read since the program started.
    pub rows: u64,
}

/// The runs under way, by folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Active(Arc<Mutex<BTreeMap<PathBuf, Entry>>>);

#[derive(Debug, Clone)]
struct Entry {
    flow: FlowHandle,
    cancelled: bool,
    /// Closed when nobody waits for the run any more.
    waited_for: watch::Receiver<()>,
}

/// A run under way; dropped, it is torn down.
pub(super) struct Running {
    active: Active,
    folder: PathBuf,
    pub(super) flow: FlowHandle,
    runtime: Handle,
    _waiting: watch::Sender<()>,
}

impl Active {
    fn map(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Entry>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once no run of an earlier request works in this folder.
    pub(super) async fn left(&self, folder: &Path) {
        let earlier = self.map().get(folder).map(|entry| entry.flow.clone());
        if let Some(earlier) = earlier {
            earlier.wait().await;
            self.map().remove(folder);
        }
    }

    pub(super) fn enter(&self, folder: PathBuf, flow: FlowHandle, runtime: Handle) -> Running {
        let (waiting, waited_for) = watch::channel(());
        self.map().insert(folder.clone(), Entry { flow: flow.clone(), cancelled: false, waited_for });
        Running { active: self.clone(), folder, flow, runtime, _waiting: waiting }
    }

    /// The runs under way of the flow whose runs are in this folder, and their runs.
    pub(crate) fn runs(&self, folder: &Path) -> Vec<RunStatus> {
        let entries: Vec<(String, FlowHandle)> = {
            let map = self.map();
            let inside = map.iter().filter(|(_, entry)| !entry.flow.state().is_final());
            inside.filter_map(|(place, entry)| Some((name_of(folder, place)?, entry.flow.clone()))).collect()
        };
        let status =
            |(name, flow): (String, FlowHandle)| RunStatus { name, state: flow.state(), rows: flow.rows_read() };
        entries.into_iter().map(status).collect()
    }

    /// Does something with one run, and returns when it is done.
    ///
    /// # Errors
    /// `Config` when no run of that name is under way.
    pub(crate) async fn steer(&self, folder: &Path, name: &str, steer: Steer) -> Result<()> {
        let (place, mut entry) = self.find(folder, name)?;
        match steer {
            Steer::Pause => drop(entry.flow.pause().await),
            Steer::Resume => entry.flow.resume().await,
            Steer::Cancel => {
                if let Some(entry) = self.map().get_mut(&place) {
                    entry.cancelled = true;
                }
                entry.flow.stop().await;
                // Until it is written down that it has ended.
                while entry.waited_for.changed().await.is_ok() {}
            }
        }
        Ok(())
    }

    fn find(&self, folder: &Path, name: &str) -> Result<(PathBuf, Entry)> {
        let map = self.map();
        let mut inside = map.iter().filter(|(place, _)| name_of(folder, place).as_deref() == Some(name));
        inside.next().map(|(place, entry)| (place.clone(), entry.clone())).ok_or_else(|| {
            Error::config(format!("no run `{name}` is under way"))
                .with_hint("`aqueduct status` shows the runs of a flow that are under way")
        })
    }
}

impl Running {
    /// Whether somebody asked for its end.
    pub(super) fn is_cancelled(&self) -> bool {
        self.active.map().get(&self.folder).is_some_and(|entry| entry.cancelled)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.flow.state().is_final() {
            self.active.map().remove(&self.folder);
            return;
        }
        let flow = self.flow.clone();
        // Asked twice it ends at once; who asks for the run again waits for that.
        self.runtime.spawn(async move {
            flow.stop().await;
            flow.stop().await;
        });
    }
}

/// `task/item` of a run's folder; of a run's run `task/item/task/item`.
fn name_of(folder: &Path, place: &Path) -> Option<String> {
    let inside = place.strip_prefix(folder).ok()?.to_str()?;
    Some(inside.replace(INSIDE, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_tasks_and_items() {
        let name = |place: &str| name_of(Path::new("/s/flow/runs"), Path::new(place));
        assert_eq!(name("/s/flow/runs/load/0001-ab").as_deref(), Some("load/0001-ab"));
        assert_eq!(name("/s/flow/runs/load/0001-ab/state/runs/in/0002-cd").as_deref(), Some("load/0001-ab/in/0002-cd"));
        assert_eq!(name("/s/other/runs/load/0001-ab"), None);
    }
}
