//! Which tables a flow reads: those that are new to it, those that it reads again, those that it leaves.

use std::collections::VecDeque;

use aqueduct_model::{Change, Polled, Result, SchemaChange};

use crate::cdc::SnapshotMode;
use crate::sqlite::table::Identity;

use super::history::{History, Version};
use super::position::{Phase, State, TableState};
use super::round::Context;

/// Takes in tables that the log already knew and the flow did not, announcing them. Tables that are captured later are
/// met in the log.
pub(super) fn adopt(
    context: &Context<'_>,
    until: Option<&State>,
    how: &Adoption,
    (state, out): (&mut State, &mut VecDeque<Polled>),
) {
    for id in context.history.ids().filter(|id| until.is_none_or(|until| until.tables.contains_key(id))) {
        let version = context.history.before(id, state.seq).filter(|_| !state.tables.contains_key(&id));
        let Some(version) = version.filter(|version| until.is_some() || context.settings.names(&version.table.name))
        else {
            continue;
        };
        let say = |change| Polled::Schema(SchemaChange::new(version.relation.clone(), change));
        out.push_back(say(Change::CreateTable));
        if how.empties_targets {
            out.push_back(say(Change::Truncate));
        }
        let is_known = how.is_first && context.settings.snapshot == SnapshotMode::Never;
        let phase = if is_known { Phase::Done } else { Phase::Snapshot };
        state.tables.insert(id, TableState::new(version.version, phase));
    }
}

/// How tables that are new to the flow are taken in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Adoption {
    /// Nothing was ever read: `snapshot: never` means these tables.
    pub(super) is_first: bool,
    /// The position was lost: what the targets hold is of unknown age.
    pub(super) empties_targets: bool,
}

/// Starts snapshots over: of all tables, or of those whose rows VACUUM may have renumbered under the snapshot.
pub(super) fn start_over(
    history: &History,
    all: bool,
    (state, out): (&mut State, &mut VecDeque<Polled>),
) -> Result<()> {
    for (&id, table) in &mut state.tables {
        let version = history.named(id, table.version)?;
        if all || (may_be_renumbered(version) && table.phase != Phase::Done && table.after.is_some()) {
            restart(version, table, all, out);
        }
    }
    Ok(())
}

/// Starts the same snapshots over that were started over before the recorded edge.
pub(super) fn start_over_like(
    context: &Context<'_>,
    until: &State,
    (state, out): (&mut State, &mut VecDeque<Polled>),
) -> Result<()> {
    for (&id, table) in &mut state.tables {
        if let Some(edge) = until.tables.get(&id).filter(|edge| edge.run > table.run) {
            let run = edge.run;
            let version = context.history.named(id, table.version)?;
            restart(version, table, context.settings.snapshot == SnapshotMode::Always, out);
            table.run = run;
        }
    }
    Ok(())
}

/// True when VACUUM may give the rows of a table other numbers.
pub(super) fn may_be_renumbered(version: &Version) -> bool {
    matches!(version.table.identity, Identity::Rowid { stable: false, .. })
}

fn restart(version: &Version, table: &mut TableState, may_upsert: bool, out: &mut VecDeque<Polled>) {
    table.run += 1;
    let is_keyed = !version.table.key.is_empty();
    if may_upsert && is_keyed && table.phase == Phase::Snapshot {
        // The rows of the snapshot so far come again behind its end.
        table.again = true;
    } else if is_keyed && (may_upsert || table.phase == Phase::Upsert) {
        (table.phase, table.after) = (Phase::Upsert, None);
    } else {
        (table.phase, table.again, table.after) = (Phase::Snapshot, false, None);
        out.push_back(Polled::Schema(SchemaChange::new(version.relation.clone(), Change::Truncate)));
    }
}

/// Tables that the flow file no longer names are left alone from now on; a renamed table keeps being named.
pub(super) fn forget_unnamed(context: &Context<'_>, state: &mut State) {
    state.tables.retain(|&id, _| context.history.names_of(id).any(|name| context.settings.names(name)));
}
