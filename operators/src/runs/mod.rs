//! What `SubFlow` and `While` share: each row that comes in is an item, which is worked on by runs of another flow.
//!
//! * **Once.** An item's runs have a name that its number and its row's digest make. After a crash a row that was on its
//!   way comes again, finds the folder of its digest, and takes it over: what has ended there is not run again, and what was
//!   under way goes on where it was. Equal rows may change places; nobody can tell.
//! * **The same again.** How an item ended is named in a snapshot first and emitted in the epoch behind it, so that an
//!   epoch can be made again exactly.
//! * Folders of items are removed once the epoch in which they were emitted is durable.

mod emit;
mod item;
mod operator;
mod queue;
mod stored;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Error, Result, RunEnd, RunFailure, RunRequest, Runs, cell_value};
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use emit::PORTS;
pub(crate) use operator::ByRuns;
pub(crate) use queue::{Queue, Rules};

/// How an item ended.
#[derive(Debug, Clone)]
pub(crate) struct ItemEnd {
    /// Why it failed, unless it did well.
    pub(crate) failure: Option<RunFailure>,
    pub(crate) returned: Vec<Batch>,
    /// Rows that were handed back by all of its runs.
    pub(crate) rows: u64,
    pub(crate) took_ms: u64,
    /// How many runs there were.
    pub(crate) runs: u64,
}

impl ItemEnd {
    /// Before the first run.
    pub(crate) fn nothing() -> Self {
        Self { failure: None, returned: Vec::new(), rows: 0, took_ms: 0, runs: 0 }
    }
}

/// How many rows are in batches.
pub(crate) fn rows_of(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}

/// What a run that fails leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The flow fails, and goes on with this run when it is started again.
    #[default]
    Fail,
    /// The others go on; the port `runs` says what happened.
    Continue,
}

/// Runs a flow to its end.
///
/// # Errors
/// That of the run, where it is to stop the flow: it is tried again when it is asked for again.
pub(crate) async fn run_once(runs: &dyn Runs, request: RunRequest, on_error: OnError) -> Result<RunEnd> {
    let name = request.name.clone();
    let end = runs.run(request).await?;
    match &end.failure {
        Some(failure) if on_error == OnError::Fail => {
            runs.retry(&name)?;
            let task = failure.task.as_ref().map(|task| format!(", task {task}")).unwrap_or_default();
            let hint = failure.hint.as_deref().unwrap_or("mend the cause");
            Err(Error::new(failure.kind, format!("run {name}{task}: {}", failure.message))
                .with_hint(format!("{hint}; started again, the run goes on where it was")))
        }
        _ => Ok(end),
    }
}

/// The values of parameters as a flow takes them: texts; NULL is no value, a list is one text with commas.
pub(crate) fn params(bound: Value) -> BTreeMap<String, String> {
    fn text(value: Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Array(items) => Some(items.into_iter().filter_map(text).collect::<Vec<_>>().join(",")),
            other => Some(other.to_string()),
        }
    }
    let Value::Object(entries) = bound else { return BTreeMap::new() };
    entries.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

/// All columns of a row as parameters.
pub(crate) fn columns_as_params(row: &Batch) -> Result<BTreeMap<String, String>> {
    let mut all = serde_json::Map::new();
    for (field, cells) in row.rows().schema_ref().fields().iter().zip(row.rows().columns()) {
        all.insert(field.name().clone(), cell_value(cells.as_ref(), 0)?);
    }
    Ok(params(Value::Object(all)))
}

/// The work on one item, to its end.
pub(crate) type Ending = BoxFuture<'static, Result<ItemEnd>>;

/// How an item is worked on.
pub(crate) trait Job: Send + Sync {
    /// Works on an item; asked again with the same name and row it must come to the same end.
    ///
    /// `row` has one row.
    fn work(&self, runs: Arc<dyn Runs>, name: String, row: &Batch) -> Result<Ending>;
}
