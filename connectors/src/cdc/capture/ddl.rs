//! DDL in the stream, under the policy `schema_change`.

use std::sync::Arc;

use aqueduct_model::{Change, Error, ErrorKind, Polled, Relation, RelationName, Result, SchemaChange};

use super::found::with_version;
use super::position::Phase;
use super::table::{Table, widened};
use super::work::{Lane, Work};
use super::{BACKFILLED, System, TableInfo, approval, is_wanted};
use crate::cdc::{OnTableError, SchemaChanges, Truncates};

/// What a policy makes of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is passed on.
    Pass,
    /// Rows keep the columns that they had, and gain new ones.
    Widen,
    /// Rows keep the columns that they had.
    Keep,
    /// A person is asked.
    Ask,
}

fn verdict(policy: SchemaChanges, change: &Change) -> Verdict {
    let fits_everywhere =
        matches!(change, Change::AddColumns(_) | Change::RenameColumn { .. } | Change::AlterColumns(_));
    match policy {
        SchemaChanges::Evolve | SchemaChanges::Exception => Verdict::Pass,
        SchemaChanges::TryEvolve if fits_everywhere => Verdict::Pass,
        SchemaChanges::TryEvolve | SchemaChanges::Lenient => Verdict::Widen,
        SchemaChanges::Ignore => Verdict::Keep,
        SchemaChanges::Ask => Verdict::Ask,
    }
}

/// True when the target keeps the rows of a table that is gone, also when another one takes its name.
pub(super) fn keeps_dropped(policy: SchemaChanges) -> bool {
    matches!(verdict(policy, &Change::DropTable), Verdict::Widen | Verdict::Keep)
}

impl<S: System> Work<S> {
    /// Takes a change of a table's shape from the log.
    pub(super) async fn follow(&mut self, change: SchemaChange) -> Result<()> {
        let name = match &change.change {
            Change::RenameTable { from } => from.clone(),
            _ => change.relation.name().clone(),
        };
        if let Lane::CatchUp(now) = &self.lane
            && *now != name
        {
            let takes_its_name = now == change.relation.name();
            return if takes_its_name { self.created(change.relation).await } else { Ok(()) };
        }
        let phase = self.state.tables.get(&name).map(|table| table.phase.clone());
        match (&change.change, phase) {
            (_, Some(Phase::Parked { .. } | Phase::Failed { .. })) => Ok(()),
            (Change::CreateTable, _) | (Change::RenameTable { .. }, None) => {
                self.forget_found(&name);
                self.created(change.relation).await
            }
            (_, None) => {
                self.forget_created(&name);
                Ok(())
            }
            (Change::Truncate, Some(phase)) => self.truncated(&name, &phase, change).await,
            (_, Some(phase)) => self.reshaped(name, phase, change).await,
        }
    }

    /// What was found of a table that the log has just made, or made anew.
    fn forget_found(&mut self, name: &RelationName) {
        if let Some(found) = &mut self.found {
            found.new.retain(|info| info.relation.name() != name);
        }
        self.forget_created(name);
    }

    /// A new table that changed before it could begin is described at the next look.
    fn forget_created(&mut self, name: &RelationName) {
        let known = self.created.len();
        self.created.retain(|info| info.relation.name() != name);
        if self.created.len() < known {
            self.looked_at = None;
        }
    }

    /// A table is there that was not before, or in the place of one that was.
    async fn created(&mut self, relation: Arc<Relation>) -> Result<()> {
        let name = relation.name().clone();
        self.forget_found(&name);
        match self.state.tables.get(&name).map(|table| &table.phase) {
            Some(Phase::Parked { .. } | Phase::Failed { .. }) => return Ok(()),
            None if !is_wanted(&self.settings.tables, &name) => return Ok(()),
            _ => {}
        }
        if matches!(self.lane, Lane::CatchUp(_)) {
            return self.created_long_ago(&name).await;
        }
        if keeps_dropped(self.settings.schema_change) {
            self.leave(std::slice::from_ref(&name), true).await?;
        }
        let Some(old) = self.tables.get(&name).cloned() else {
            // Whatever it holds at the next boundary is read then: tables can be made with rows.
            self.created.push(TableInfo { relation, rows_estimate: 0, native_key_order: false });
            return Ok(());
        };
        self.give_up_chunks(&name).await?;
        let version = relation.version().max(old.source.version().max(old.shown.version()) + 1);
        let relation = with_version(&relation, version)?;
        self.out.push_back(Polled::Schema(SchemaChange::new(old.shown.clone(), Change::Truncate)));
        for change in super::hand_out::differences(&old.shown, &relation) {
            self.out.push_back(Polled::Schema(SchemaChange::new(relation.clone(), change)));
        }
        self.replace(&name, Table::plain(relation)).await?;
        self.set_phase(&name, Phase::snapshot(false));
        Ok(())
    }

    /// The table that catches up gave way to another one of its name while its changes were withheld. The columns that
    /// the log tells here are those of then: it is read as it is now.
    async fn created_long_ago(&mut self, name: &RelationName) -> Result<()> {
        self.looked_at = None;
        if self.state.tables.contains_key(name) {
            let why = "another table took its name while its changes were withheld".to_owned();
            tracing::warn!(table = %name, "{why}; it is read anew");
            approval::note(self.disk.as_ref(), name, "failed", &why).await?;
            self.set_phase(name, Phase::Failed { error: why });
            if self.live {
                self.reset(std::slice::from_ref(name)).await?;
            }
        }
        Ok(())
    }

    async fn truncated(&mut self, name: &RelationName, phase: &Phase<S::Mark>, change: SchemaChange) -> Result<()> {
        match self.settings.truncate {
            Truncates::Ignore => {
                tracing::warn!(table = %name, "a TRUNCATE is not passed on: the target keeps the rows");
                // What is read from now on is without them.
            }
            Truncates::Error => {
                return Err(Error::new(ErrorKind::Schema, format!("{name} was truncated"))
                    .with_setting("truncate")
                    .with_hint("set `truncate: apply` to empty the target too, or `truncate: ignore`"));
            }
            Truncates::Apply => {
                let shown = self.table(name)?.shown.clone();
                let passed = SchemaChange { relation: shown, ..change };
                self.out.push_back(Polled::Schema(passed));
            }
        }
        if let Phase::Snapshot { again, .. } = phase {
            self.give_up_chunks(name).await?;
            let is_emptied = self.settings.truncate == Truncates::Apply;
            if is_emptied || *again {
                self.set_phase(name, Phase::snapshot(*again && !is_emptied));
            }
        }
        Ok(())
    }

    /// Columns changed, or the table was renamed or dropped.
    async fn reshaped(&mut self, name: RelationName, phase: Phase<S::Mark>, change: SchemaChange) -> Result<()> {
        let is_approved = matches!(phase, Phase::CatchUp { approved: true, .. });
        if let Phase::CatchUp { at, then_again, .. } = &phase {
            self.set_phase(&name, Phase::CatchUp { at: at.clone(), approved: false, then_again: *then_again });
        }
        if self.settings.schema_change == SchemaChanges::Exception {
            return Err(refused(&name, &change));
        }
        match verdict(self.settings.schema_change, &change.change) {
            Verdict::Ask if is_approved => self.pass(name, phase, change).await,
            Verdict::Ask => self.park(&name, phase, &change).await,
            Verdict::Pass => self.pass(name, phase, change).await,
            Verdict::Widen => self.hold_back(name, phase, change, true).await,
            Verdict::Keep => self.hold_back(name, phase, change, false).await,
        }
    }

    /// The change goes to the target.
    async fn pass(&mut self, name: RelationName, phase: Phase<S::Mark>, change: SchemaChange) -> Result<()> {
        self.give_up_chunks(&name).await?;
        match &change.change {
            Change::DropTable => {
                let relation = self.table(&name)?.shown.clone();
                self.out.push_back(Polled::Schema(SchemaChange { relation, ..change }));
                return self.leave(std::slice::from_ref(&name), false).await;
            }
            Change::RenameTable { .. } => return self.renamed(&name, change).await,
            _ => {}
        }
        let old = self.table(&name)?.clone();
        let is_backfilled = matches!(&change.change, Change::AddColumns(names) if gained(&change.relation, names));
        let new = Table { source: change.relation.clone(), shown: self.shown_after(&old, &change)? };
        let key_changed =
            old.source.key_names() != new.source.key_names() || key_types(&old.source) != key_types(&new.source);
        let shown = new.shown.clone();
        self.replace(&name, new).await?;
        self.out.push_back(Polled::Schema(SchemaChange { relation: shown.clone(), ..change }));
        match phase {
            Phase::Snapshot { again, .. } if key_changed => {
                if !again || shown.key().is_empty() {
                    self.out.push_back(Polled::Schema(SchemaChange::new(shown, Change::Truncate)));
                }
                self.set_phase(&name, Phase::snapshot(again));
            }
            Phase::Snapshot { after, again, then_again } if is_backfilled => {
                let then_again = then_again || after.is_some();
                self.set_phase(&name, Phase::Snapshot { after, again, then_again });
            }
            Phase::Streaming if is_backfilled => self.read_rows_again(&name)?,
            Phase::CatchUp { at, .. } if is_backfilled => {
                self.set_phase(&name, Phase::CatchUp { at, approved: false, then_again: true });
            }
            _ => {}
        }
        Ok(())
    }

    /// The rows of a table that streams are read once more: as updates, or from nothing where they have no key.
    pub(super) fn read_rows_again(&mut self, name: &RelationName) -> Result<()> {
        let shown = self.table(name)?.shown.clone();
        let has_key = !shown.key().is_empty();
        if !has_key {
            self.out.push_back(Polled::Schema(SchemaChange::new(shown, Change::Truncate)));
        }
        self.set_phase(name, Phase::snapshot(has_key));
        Ok(())
    }

    /// The columns that rows are handed out with after a change that is passed on.
    fn shown_after(&self, old: &Table, change: &SchemaChange) -> Result<Arc<Relation>> {
        if old.is_plain() {
            return Ok(change.relation.clone());
        }
        let version = change.relation.version().max(old.shown.version() + 1);
        with_version(&widened(&old.shown, &change.relation, true)?, version)
    }

    async fn renamed(&mut self, from: &RelationName, change: SchemaChange) -> Result<()> {
        let to = change.relation.name().clone();
        // The target cannot rename a table to a name under which it may hold another one's rows.
        let is_taken = self.left.find(&to).is_some() || self.state.tables.contains_key(&to);
        let is_late = matches!(self.lane, Lane::CatchUp(_));
        if is_taken || is_late || !is_wanted(&self.settings.tables, &to) {
            let relation = self.table(from)?.shown.clone();
            self.out.push_back(Polled::Schema(SchemaChange {
                relation,
                change: Change::DropTable,
                statement: change.statement,
            }));
            self.leave(std::slice::from_ref(from), keeps_dropped(self.settings.schema_change)).await?;
            if is_late {
                // It is looked for under its new name as it is now.
                self.looked_at = None;
                return Ok(());
            }
            return self.created(change.relation).await;
        }
        let (Some(state), Some(_)) = (self.state.tables.remove(from), self.tables.remove(from)) else {
            return Err(Error::bug(format!("{from} was just known")));
        };
        self.state.tables.insert(to.clone(), state);
        self.replace(&to, Table::plain(change.relation.clone())).await?;
        self.out.push_back(Polled::Schema(change));
        Ok(())
    }

    /// The target keeps its columns; rows are made to fit.
    async fn hold_back(
        &mut self,
        name: RelationName,
        phase: Phase<S::Mark>,
        change: SchemaChange,
        adds: bool,
    ) -> Result<()> {
        self.give_up_chunks(&name).await?;
        match &change.change {
            Change::DropTable => {
                tracing::warn!(table = %name, "a table was dropped; by `schema_change` the target is not told");
                return self.leave(std::slice::from_ref(&name), true).await;
            }
            // Rows under another name cannot be told from another table's.
            Change::RenameTable { .. } => return self.renamed(&name, change).await,
            _ => {}
        }
        let old = self.table(&name)?.clone();
        let shown = widened(&old.shown, &change.relation, adds)?;
        let changes = super::hand_out::differences(&old.shown, &shown);
        let version = if changes.is_empty() { old.shown.version() } else { old.shown.version() + 1 };
        let shown = with_version(&shown, version)?;
        let is_backfilled =
            adds && matches!(&change.change, Change::AddColumns(names) if gained(&change.relation, names));
        self.replace(&name, Table { source: change.relation.clone(), shown: shown.clone() }).await?;
        if adds {
            for change in changes {
                self.out.push_back(Polled::Schema(SchemaChange::new(shown.clone(), change)));
            }
        }
        if is_backfilled && matches!(phase, Phase::Streaming) { self.read_rows_again(&name) } else { Ok(()) }
    }

    /// Another shape of a known table: durable before any position names it.
    async fn replace(&mut self, name: &RelationName, table: Table) -> Result<()> {
        let shape = self.shapes.keep(&table.source).await?;
        let shown_as = if table.is_plain() { None } else { Some(self.shapes.keep(&table.shown).await?) };
        if let Some(state) = self.state.tables.get_mut(name) {
            state.native_order &= super::order::sorts_natively(&table.source);
            (state.shape, state.shown_as) = (shape, shown_as);
        }
        self.tables.insert(name.clone(), table);
        Ok(())
    }

    /// `schema_change: ask`: the table waits, with everything from before this change on.
    async fn park(&mut self, name: &RelationName, phase: Phase<S::Mark>, change: &SchemaChange) -> Result<()> {
        self.give_up_chunks(name).await?;
        let what = change.statement.clone().unwrap_or_else(|| format!("{:?}", change.change));
        tracing::error!(table = %name, change = what, "a table is parked until its schema change is approved");
        // An approval that is still there was for an earlier change.
        approval::settled(self.disk.as_ref(), name).await?;
        approval::note(self.disk.as_ref(), name, "parked", &what).await?;
        let (at, unfinished) = match phase {
            Phase::CatchUp { at, then_again, .. } => (at, then_again),
            Phase::Snapshot { .. } => (self.state.log.clone(), true),
            _ => (self.state.log.clone(), false),
        };
        self.set_phase(name, Phase::Parked { at, unfinished });
        Ok(())
    }

    /// The system cannot decode a table's rows any more.
    pub(super) async fn table_failed(&mut self, name: &RelationName, error: Error) -> Result<()> {
        if self.settings.on_table_error == OnTableError::Fail {
            return Err(error);
        }
        if self.state.tables.contains_key(name) {
            tracing::error!(table = %name, error = error.chain(), "a table cannot be read; the others go on");
            self.give_up_chunks(name).await?;
            approval::note(self.disk.as_ref(), name, "failed", &error.chain()).await?;
            self.set_phase(name, Phase::Failed { error: error.chain() });
        }
        Ok(())
    }
}

/// True when rows that were there before have a value in a new column.
fn gained(relation: &Relation, names: &[String]) -> bool {
    let fields = relation.columns().fields().iter().filter(|field| names.contains(field.name()));
    fields.into_iter().any(|field| field.metadata().contains_key(BACKFILLED) || !field.is_nullable())
}

fn key_types(relation: &Relation) -> Vec<arrow::datatypes::DataType> {
    relation.key().iter().map(|&i| relation.columns().field(i).data_type().clone()).collect()
}

fn refused(name: &RelationName, change: &SchemaChange) -> Error {
    let what = change.statement.clone().unwrap_or_else(|| format!("{:?}", change.change));
    Error::new(ErrorKind::Schema, format!("{name} changed: {what}"))
        .with_setting("schema_change")
        .with_hint("`schema_change: exception` stops the flow at every change; set `evolve` to pass it on, or `ask`")
}
