//! An entry of the journal on its way out.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use aqueduct_model::{
    BadRows, Batch, Change, Error, Op, PollBudget, Polled, Relation, RelationName, Result, SchemaChange,
};
use arrow::array::BooleanArray;

use super::ddl::keeps_dropped;
use super::journal::{Before, Begun, Entry, What, as_updates};
use super::order::{KeyBytes, keys_of};
use super::position::{Phase, SavedKey, TableState};
use super::table::Table;
use super::work::{Lane, Work};
use super::{Mark, System, approval};

/// See the module.
pub(super) struct Handing<M: Mark> {
    entry: Entry<M>,
    /// Rows or announcements that are still to be passed over: they were handed out before.
    skip: u64,
    /// The next frame.
    frame: usize,
    /// What is left of the frame before.
    rest: Option<Batch>,
    /// What there is to announce; `None` before it was looked at.
    announcements: Option<VecDeque<SchemaChange>>,
    /// The keys that are left out, as bytes.
    covered: Option<(KeyBytes, HashSet<Vec<u8>>)>,
    is_begun: bool,
}

impl<M: Mark> Handing<M> {
    /// An entry of which `skip` rows or announcements were handed out already.
    pub(super) fn new(entry: Entry<M>, skip: u64) -> Self {
        Self { entry, skip, frame: 0, rest: None, announcements: None, covered: None, is_begun: false }
    }
}

impl<S: System> Work<S> {
    /// Makes an entry durable; it is handed out from now on.
    pub(super) async fn begin_entry(
        &mut self,
        draft: Option<super::journal::Draft>,
        what: What<S::Mark>,
    ) -> Result<()> {
        let entry = self.journal.seal(draft, self.state.entry, self.state.log.clone(), what).await?;
        self.handing = Some(Handing::new(entry, 0));
        Ok(())
    }

    /// Hands out the next piece of the entry, or ends it.
    pub(super) async fn hand_out(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<()> {
        let mut handing = self.handing.take().ok_or_else(|| Error::bug("there is no entry to hand out"))?;
        let mut most = budget.max_rows.max(1);
        if let Some((_, target)) = &self.target
            && target.entry == self.state.entry
        {
            most = most.min(target.done.saturating_sub(self.state.done) as usize).max(1);
        }
        let piece = match &handing.entry.what {
            What::Chunk { .. } => self.next_rows(&mut handing, most, bad).await?,
            _ => self.next_announcement(&mut handing).await?.map(Polled::Schema),
        };
        match piece {
            Some(piece) => {
                self.state.done += if let Polled::Batch(batch) = &piece { batch.num_rows() as u64 } else { 1 };
                self.out.push_back(piece);
                self.handing = Some(handing);
                Ok(())
            }
            None => self.end_entry(handing.entry).await,
        }
    }

    async fn next_rows(
        &mut self,
        handing: &mut Handing<S::Mark>,
        most: usize,
        bad: &mut BadRows,
    ) -> Result<Option<Polled>> {
        let What::Chunk { table, covered, .. } = &handing.entry.what else { return Ok(None) };
        let table = table.clone();
        let (relation, number) = (self.table(&table)?.source.clone(), handing.entry.number);
        let row_frames = handing.entry.frames.len() - usize::from(*covered);
        if !handing.is_begun {
            handing.is_begun = true;
            if handing.skip == 0 {
                handing.entry.bad.drain(..).try_for_each(|row| bad.reject(row))?;
            }
            if *covered {
                handing.covered = Some(self.read_covered(number, &handing.entry).await?);
            }
        }
        loop {
            if let Some(batch) = handing.rest.take() {
                let mut rows = most.min(batch.num_rows());
                if batch.op(rows - 1) == Op::UpdateBefore {
                    rows += 1;
                }
                if rows < batch.num_rows() {
                    handing.rest = Some(batch.slice(rows, batch.num_rows() - rows));
                }
                return Ok(Some(Polled::Batch(self.table(&table)?.show(batch.slice(0, rows))?)));
            }
            if handing.frame >= row_frames {
                return Ok(None);
            }
            let mut batch = self.journal.batch(number, &handing.entry.frames[handing.frame], &relation).await?;
            handing.frame += 1;
            if let Some(covered) = &handing.covered {
                batch = uncovered(&batch, covered)?;
            }
            if self.is_again(&table) && batch.is_append_only() {
                batch = as_updates(&batch)?;
            }
            let passed = handing.skip.min(batch.num_rows() as u64);
            handing.skip -= passed;
            if (passed as usize) < batch.num_rows() {
                handing.rest = Some(batch.slice(passed as usize, batch.num_rows() - passed as usize));
            }
        }
    }

    fn is_again(&self, table: &RelationName) -> bool {
        self.state.tables.get(table).is_some_and(|table| matches!(table.phase, Phase::Snapshot { again: true, .. }))
    }

    async fn read_covered(&mut self, number: u64, entry: &Entry<S::Mark>) -> Result<(KeyBytes, HashSet<Vec<u8>>)> {
        let frame = entry.frames.last().ok_or_else(|| Error::bug("an entry without the frame that it says it has"))?;
        let keys = self.journal.rows(number, frame).await?;
        let bytes = KeyBytes::new(&keys)?;
        let set = bytes.bytes(&keys)?.iter().map(|row| row.as_ref().to_vec()).collect();
        Ok((bytes, set))
    }

    async fn next_announcement(&mut self, handing: &mut Handing<S::Mark>) -> Result<Option<SchemaChange>> {
        if handing.announcements.is_none() {
            let all = self.announcements(&handing.entry.what).await?;
            handing.announcements = Some(all.into_iter().skip(handing.skip as usize).collect());
        }
        Ok(handing.announcements.as_mut().and_then(VecDeque::pop_front))
    }

    /// What an entry announces, given the state before it.
    async fn announcements(&mut self, what: &What<S::Mark>) -> Result<Vec<SchemaChange>> {
        let mut all = Vec::new();
        match what {
            What::Begin { tables, .. } => {
                for begun in tables {
                    let new = self.begun(begun).await?;
                    if begun.before == Before::Old {
                        // First, so that old rows are in no way of new columns and keys.
                        all.push(SchemaChange::new(new.clone(), Change::Truncate));
                    }
                    all.push(SchemaChange::new(new, Change::CreateTable));
                }
            }
            What::Reset { tables, .. } => {
                for begun in tables {
                    let new = self.begun(begun).await?;
                    match self.tables.get(&begun.name).map(|table| table.shown.clone()) {
                        None => {
                            if begun.before != Before::Nothing {
                                all.push(SchemaChange::new(new.clone(), Change::Truncate));
                            }
                            all.push(SchemaChange::new(new, Change::CreateTable));
                        }
                        Some(old) => {
                            all.push(SchemaChange::new(old.clone(), Change::Truncate));
                            let changes = differences(&old, &new);
                            all.extend(changes.into_iter().map(|change| SchemaChange::new(new.clone(), change)));
                        }
                    }
                }
            }
            What::Dropped(names) => {
                for name in names {
                    let table = self.tables.get(name).map(|table| table.shown.clone());
                    all.extend(table.map(|relation| SchemaChange::new(relation, Change::DropTable)));
                }
            }
            _ => {}
        }
        Ok(all)
    }

    async fn begun(&mut self, begun: &Begun) -> Result<Arc<Relation>> {
        let found = self.shapes.load(&begun.name, &begun.shape).await?;
        found.ok_or_else(|| super::open::shape_is_gone(&begun.name))
    }

    /// Everything of the entry is handed out: the state goes on behind it.
    async fn end_entry(&mut self, entry: Entry<S::Mark>) -> Result<()> {
        match entry.what {
            What::Begin { tables, snapshot } => {
                let phase = if snapshot { Phase::snapshot(false) } else { Phase::Streaming };
                self.adopt(tables, &phase, self.lane == Lane::Main, true).await?;
            }
            What::Reset { log, tables } => {
                let restarts = log.is_some();
                self.adopt(tables, &Phase::snapshot(false), !restarts && self.lane == Lane::Main, false).await?;
                if let Some(mark) = log {
                    self.state.log = mark;
                    self.log_since = entry.number + 1;
                    // It may have been lost a second time since.
                    self.start().await?;
                }
            }
            What::Again(names) => {
                for name in &names {
                    // A reset may have come in between: the target is empty then, and rows have to come as inserts.
                    if self.state.tables.get(name).is_some_and(|table| matches!(table.phase, Phase::Streaming)) {
                        self.set_phase(name, Phase::snapshot(true));
                    }
                }
            }
            What::Remove(names) => self.leave(&names, false).await?,
            What::Dropped(names) => self.leave(&names, keeps_dropped(self.settings.schema_change)).await?,
            What::Chunk { table, range, .. } => self.end_chunk(&table, range.up_to),
            What::Fail { table, error } => {
                self.give_up_chunks(&table).await?;
                self.set_phase(&table, Phase::Failed { error });
            }
            What::Approve(name) => {
                if let Some(Phase::Parked { at, .. }) = self.state.tables.get(&name).map(|table| table.phase.clone()) {
                    self.set_phase(&name, Phase::CatchUp { at, approved: true, then_again: false });
                }
            }
        }
        (self.state.entry, self.state.done) = (entry.number + 1, 0);
        Ok(())
    }

    pub(super) fn set_phase(&mut self, name: &RelationName, phase: Phase<S::Mark>) {
        if let Some(table) = self.state.tables.get_mut(name) {
            table.phase = phase;
        }
    }

    /// Tables of these shapes are captured from here on. `keeps`: the target has the rows that policies keep.
    async fn adopt(&mut self, tables: Vec<Begun>, phase: &Phase<S::Mark>, adds: bool, keeps: bool) -> Result<()> {
        for begun in tables {
            let relation = self.begun(&begun).await?;
            self.give_up_chunks(&begun.name).await?;
            if adds {
                self.system.add_table(relation.clone()).await?;
            }
            let is_update = begun.before == Before::Kept && !relation.key().is_empty();
            let phase = match phase {
                Phase::Snapshot { .. } if is_update && keeps => Phase::snapshot(true),
                phase => phase.clone(),
            };
            let (shape, native_order) = (begun.shape, begun.native_order);
            let state = TableState { shape, shown_as: None, native_order, phase };
            self.state.tables.insert(begun.name.clone(), state);
            self.tables.insert(begun.name, Table::plain(relation));
        }
        if self.live {
            // The entry may be one that an earlier life began, with other settings.
            self.remove_unwanted();
        }
        Ok(())
    }

    /// Tables are captured no more; the target may keep what it has of them.
    pub(super) async fn leave(&mut self, names: &[RelationName], stays: bool) -> Result<()> {
        let mut leaving = Vec::new();
        for name in names {
            self.give_up_chunks(name).await?;
            approval::settled(self.disk.as_ref(), name).await?;
            self.state.tables.remove(name);
            if let Some(table) = self.tables.remove(name) {
                leaving.push((name.clone(), table.source.version().max(table.shown.version())));
            }
        }
        let number = self.state.left;
        self.state.left += leaving.len() as u64;
        self.left.add(leaving, number, stays).await
    }

    fn end_chunk(&mut self, name: &RelationName, up_to: Option<SavedKey>) {
        let Some(TableState { phase, .. }) = self.state.tables.get_mut(name) else { return };
        let Phase::Snapshot { after, then_again, .. } = phase else { return };
        match up_to {
            Some(key) => *after = Some(key),
            None if *then_again => *phase = Phase::snapshot(true),
            None => {
                *phase = Phase::Streaming;
                tracing::info!(table = %name, "the snapshot of a table is complete");
            }
        }
    }
}

fn uncovered(batch: &Batch, (bytes, covered): &(KeyBytes, HashSet<Vec<u8>>)) -> Result<Batch> {
    let keys = bytes.bytes(&keys_of(batch.relation(), batch.rows())?)?;
    batch.select(&BooleanArray::from_iter(keys.iter().map(|key| Some(!covered.contains(key.as_ref())))))
}

/// What happened to a table between two descriptions, columns told apart by name.
pub(super) fn differences(old: &Relation, new: &Relation) -> Vec<Change> {
    let mut changes = Vec::new();
    let missing = |a: &Relation, b: &Relation| -> Vec<String> {
        let names = a.columns().fields().iter().map(|field| field.name().clone());
        names.filter(|name| b.columns().index_of(name).is_err()).collect()
    };
    let (dropped, added) = (missing(old, new), missing(new, old));
    let altered: Vec<String> = new
        .columns()
        .fields()
        .iter()
        .filter(|field| old.columns().field_with_name(field.name()).is_ok_and(|before| before != field.as_ref()))
        .map(|field| field.name().clone())
        .collect();
    if !dropped.is_empty() {
        changes.push(Change::DropColumns(dropped));
    }
    if !added.is_empty() {
        changes.push(Change::AddColumns(added));
    }
    if !altered.is_empty() || (changes.is_empty() && old.key_names() != new.key_names()) {
        changes.push(Change::AlterColumns(altered));
    }
    changes
}
