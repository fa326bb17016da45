//! Checksums that both sides compute by themselves: where they are equal no row moves.
//!
//! Only where a source feeds the sink directly: what an operator makes of rows is known here alone. A difference, or a
//! side that has no checksum, says nothing more than that rows have to be compared.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::Host;
use aqueduct_model::{
    Build, ChooseReading, Error, ErrorKind, PluginKind, Reading, Relation, RelationName, Result, TableChecksum,
};

use super::Options;
use super::collect::ALSO;
use super::report::TableReport;
use super::target::Target;

/// Which tables are compared, and how.
pub(super) struct Pass {
    pub(super) choose: ChooseReading,
    /// Only these tables.
    pub(super) only: Option<BTreeSet<RelationName>>,
}

impl Pass {
    /// By checksums, where a table allows it; `None` where no table does.
    ///
    /// # Errors
    /// `Config` for settings of the sink that cannot be read.
    pub(super) fn by_checksums(plan: &Plan, task: &PlannedTask, options: Options) -> Result<Option<Self>> {
        let [edge] = task.inputs.as_slice() else { return Ok(None) };
        if options.rows || plan.tasks[edge.task].kind() != PluginKind::Source {
            return Ok(None);
        }
        let Build::Sink { inspect, .. } = task.entry.build else { return Ok(None) };
        let Some(inspect) = inspect(&task.config) else { return Ok(None) };
        let inspect = Mutex::new(inspect?);
        let choose = move |table: &Relation| {
            // Nothing is changed under the lock: what a panic left is whole.
            let inspect = inspect.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if inspect.can_sum_up(table) { Reading::Checksum } else { Reading::Rows }
        };
        Ok(Some(Self { choose: Arc::new(choose), only: None }))
    }

    /// All tables by their rows.
    pub(super) fn by_rows() -> Self {
        Self { choose: Arc::new(|_| Reading::Rows), only: None }
    }

    /// Some tables by their rows.
    pub(super) fn rows_of(tables: BTreeSet<RelationName>) -> Self {
        let wanted = tables.clone();
        let choose = move |table: &Relation| match wanted.contains(table.name()) {
            true => Reading::Rows,
            false => Reading::Nothing,
        };
        Self { choose: Arc::new(choose), only: Some(tables) }
    }
}

/// What comparing checksums leaves to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Again {
    /// These tables by their rows; perhaps none.
    Tables(BTreeSet<RelationName>),
    /// Everything by rows.
    All,
}

/// Compares the tables that the source summed up; they are taken out of the target's list.
pub(super) fn compare(
    host: &Host,
    sink: &str,
    target: &mut Target,
    sums: &[TableChecksum],
) -> (Vec<TableReport>, Again) {
    let (mut equal, mut again) = (Vec::new(), BTreeSet::new());
    // Where several tables flow into one, each sum is a part of it.
    if !sums.is_empty() && target.tables.iter().any(|table| table.columns().metadata().contains_key(ALSO)) {
        return (equal, Again::All);
    }
    for TableChecksum { relation, checksum } in sums {
        let name = relation.name();
        let found = match checksum {
            Some(_) => host.wait_on(target.checksum(relation)),
            None => Ok(None),
        };
        match found {
            Ok(found) if found.is_some() && found == *checksum => {
                equal.extend(found.map(|sum| TableReport::by_checksum(sink, name, target.cut.epoch, sum)));
            }
            Ok(_) => drop(again.insert(name.clone())),
            Err(error) => {
                tracing::info!(table = %name, error = error.chain(), "the target cannot sum a table up");
                return (Vec::new(), Again::All);
            }
        }
    }
    target.tables.retain(|table| !sums.iter().any(|sum| sum.relation.name() == table.name()));
    (equal, Again::Tables(again))
}

/// True for a failure that comparing rows may not have.
pub(super) fn is_of_checksums(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Auth | ErrorKind::LostPosition)
}
