//! The other side: what the target holds, read back.

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_model::{
    Build, Checksum, Cut, Error, ErrorKind, Inspect, Positions, Relation, RelationName, Result, SinkContext, View,
};
use arrow::array::RecordBatch;
use std::sync::Arc;

/// A view of one sink's target.
pub(super) struct Target {
    inspect: Box<dyn Inspect>,
    pub(super) tables: Vec<Arc<Relation>>,
    /// Up to where each source was written.
    pub(super) cut: Cut,
}

impl Target {
    /// Opens the view; `None` when the sink cannot be read back.
    pub(super) async fn open(plan: &Plan, task: &PlannedTask) -> Result<Option<Self>> {
        let Build::Sink { inspect, .. } = task.entry.build else { return Ok(None) };
        let Some(inspect) = inspect(&task.config) else { return Ok(None) };
        let mut inspect = inspect?;
        let context = SinkContext { flow: plan.flow.clone(), task: task.id.clone(), state_dir: None };
        let View { cut, tables } = inspect.open(&context).await.map_err(|error| error.with_task(&task.id))?;
        let cut = match cut {
            Some(cut) => cut,
            None => last_checkpoint(plan)?,
        };
        Ok(Some(Self { inspect, tables, cut }))
    }

    /// The checksum of a table with these columns; see [`Inspect::checksum`].
    pub(super) async fn checksum(&mut self, table: &Relation) -> Result<Option<Checksum>> {
        self.inspect.checksum(table).await
    }

    /// Gives every row of a table to `take`.
    pub(super) async fn scan(
        &mut self,
        table: &RelationName,
        mut take: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<()> {
        self.inspect.start(table).await?;
        while let Some(rows) = self.inspect.next().await? {
            take(&rows)?;
        }
        Ok(())
    }
}

/// What the checkpoint folder says, for a target that keeps no ledger.
fn last_checkpoint(plan: &Plan) -> Result<Cut> {
    let summary = aqueduct_checkpoint::inspect(&plan.state_dir)?;
    match summary.epochs.into_iter().next() {
        Some(newest) => Ok(Cut { epoch: newest.epoch, positions: newest.positions }),
        None => Err(Error::new(ErrorKind::Unavailable, "the flow has not committed anything yet")
            .with_hint("run it first: aqueduct run FLOW")),
    }
}

/// The positions to scan the sources at.
impl Target {
    pub(super) fn positions(&self) -> &Positions {
        &self.cut.positions
    }
}
