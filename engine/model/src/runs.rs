//! Runs of flows that a flow starts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::{Batch, ErrorKind, Result};

/// A run that is wanted.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Its name among the runs of the task: letters, digits, `-` and `/`. A run of this name that was interrupted goes on
    /// where it was, one that has ended gives its end again.
    pub name: String,
    /// The flow's file. Relative to the file of the flow that asks.
    pub flow: PathBuf,
    /// Values of its parameters, as texts.
    pub params: BTreeMap<String, String>,
    /// Leave out the parameters that the flow does not declare, instead of refusing them.
    pub declared_only: bool,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// Why it failed, unless it did well.
    pub failure: Option<RunFailure>,
    /// The rows that it handed back, in order.
    pub returned: Vec<Batch>,
    /// How long it took, over all its lives, in milliseconds.
    pub took_ms: u64,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFailure {
    /// What kind of error it was.
    pub kind: ErrorKind,
    /// The task, where it is known.
    pub task: Option<String>,
    /// What happened.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// Runs flows for one task; lives and dies with the flow that asks.
#[async_trait]
pub trait Runs: Send + Sync + fmt::Debug {
    /// Runs a flow to its end. Dropping the future stops the run; it can be asked for again.
    ///
    /// # Errors
    /// `Config` when the flow cannot be planned: nothing was started. `State` when its folder cannot be read. A run that
    /// fails is no error: see [`RunEnd::failure`].
    async fn run(&self, request: RunRequest) -> Result<RunEnd>;

    /// The names of runs (up to the first `/`) that have left a folder.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be read.
    fn known(&self) -> Result<Vec<String>>;

    /// Forgets what a run, and all whose names begin with it and `/`, have left. Forgetting again is no error.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be removed.
    fn forget(&self, name: &str) -> Result<()>;

    /// Forgets how a run ended that failed, so that it is tried again from where it was.
    ///
    /// # Errors
    /// As [`Runs::forget`].
    fn retry(&self, name: &str) -> Result<()>;
}
