//! Which runs this process has under way, so that none is started beside itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use crate::runtime::FlowHandle;

/// The runs under way, by folder.
#[derive(Debug, Clone, Default)]
pub(super) struct Active(Arc<Mutex<HashMap<PathBuf, FlowHandle>>>);

/// A run under way; dropped, it is torn down.
pub(super) struct Running {
    active: Active,
    folder: PathBuf,
    pub(super) flow: FlowHandle,
    runtime: Handle,
}

impl Active {
    fn map(&self) -> MutexGuard<'_, HashMap<PathBuf, FlowHandle>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once no run of an earlier request works in this folder.
    pub(super) async fn left(&self, folder: &Path) {
        let earlier = self.map().get(folder).cloned();
        if let Some(earlier) = earlier {
            earlier.wait().await;
            self.map().remove(folder);
        }
    }

    pub(super) fn enter(&self, folder: PathBuf, flow: FlowHandle, runtime: Handle) -> Running {
        self.map().insert(folder.clone(), flow.clone());
        Running { active: self.clone(), folder, flow, runtime }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.flow.status().state.is_final() {
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
