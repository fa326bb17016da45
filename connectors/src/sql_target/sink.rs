//! The transactional sink: buffers an epoch, then commits it whole together with the ledger's row.

use std::collections::HashMap;
use std::sync::Arc;

use aqueduct_model::{
    BadRow, BadRows, Batch, Change, Claim, Cut, Epoch, Error, ErrorKind, PreparedCommit, Recorded, Relation, Result,
    SchemaChange, Sink, SinkContext, SinkInput, Token,
};
use async_trait::async_trait;

use super::compaction::{FoldMode, fold};
use super::early::{EarlyChange, EarlyChanges};
use super::images::Images;
use super::origins::Origins;
use super::preparation::Preparation;
use super::{Changes, Database, Mode, Table, TargetOptions, catalog, fault, ledger, multiset, resolve};

/// Opens a connection. With `false` a target that does not exist is `None`; with `true` it is created and made ready
/// for writing.
pub(crate) type Connect = Box<dyn Fn(bool) -> Result<Option<Box<dyn Database>>> + Send>;

/// Applied before the epoch ends even if small: row numbers inside a group are 32 bits wide.
const GROUP_ROWS_MAX: usize = 4 << 20;

/// What folding and applying a row take beside its values, about: its key's bytes, its place by key, what became of it.
const FOLDED_ROW_BYTES: u64 = 128;

/// A transactional SQL sink. See the module's documentation for its promises.
pub(crate) struct SqlSink {
    options: TargetOptions,
    connect: Connect,
    database: Option<Box<dyn Database>>,
    context: SinkContext,
    token: Token,
    committed: Epoch,
    /// What the ledger said when the target was opened.
    seen: Option<Recorded>,
    in_transaction: bool,
    /// DDL ended the transaction: what was in it is gone.
    rolled_back: bool,
    early: EarlyChanges,
    origins: Origins,
    /// Tables that are ready, by their name in the target.
    tables: HashMap<String, Table>,
    /// What was written and not yet applied, in order.
    pending: Vec<SinkInput>,
    pending_bytes: u64,
    pending_rows: usize,
}

impl SqlSink {
    /// A sink that connects when it is opened.
    pub fn new(options: TargetOptions, connect: Connect) -> Self {
        Self {
            options,
            connect,
            database: None,
            context: SinkContext::default(),
            token: Token::default(),
            committed: Epoch::default(),
            seen: None,
            in_transaction: false,
            rolled_back: false,
            early: EarlyChanges::default(),
            origins: Origins::default(),
            tables: HashMap::new(),
            pending: Vec::new(),
            pending_bytes: 0,
            pending_rows: 0,
        }
    }

    fn database(&mut self) -> Result<&mut dyn Database> {
        match &mut self.database {
            Some(database) => Ok(database.as_mut()),
            None => Err(Error::bug("a sink was written before it was claimed")),
        }
    }

    /// Opens the epoch's transaction, once.
    fn begin(&mut self) -> Result<()> {
        if self.in_transaction {
            return Ok(());
        }
        fault::point("sink.begin", &self.context.flow)?;
        let database = self.database()?;
        let begin = database.dialect().begin();
        database.execute(begin, &[])?;
        self.in_transaction = true;
        Ok(())
    }

    /// Ends the transaction. An error leaves open whether it was committed: the next `open` will see.
    fn commit_transaction(&mut self) -> Result<()> {
        let result = self.database()?.execute("COMMIT", &[]);
        self.in_transaction = false;
        result.map(drop).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the target did not confirm a commit; it may or may not be done")
                .with_source(error)
        })
    }

    fn take_ledger(&mut self, claim: &Claim) -> Result<bool> {
        let (context, seen) = (self.context.clone(), self.seen.take());
        let fresh = ledger::claim(self.database()?, &context, claim, seen.as_ref())?;
        if fresh {
            catalog::forget(self.database()?, &context)?;
        }
        Ok(fresh)
    }

    fn create_bookkeeping(&mut self) -> Result<()> {
        let database = self.database()?;
        ledger::create(database)?;
        catalog::create(database)?;
        if database.dialect().ddl_commits() {
            EarlyChanges::create(database)?;
        }
        Ok(())
    }

    /// Takes over what a run before this one did early; finishes what it was in the middle of.
    fn settle_early(&mut self, fresh: bool) -> Result<()> {
        let Some(database) = &mut self.database else { return Err(Error::bug("a sink lost its connection")) };
        self.early = EarlyChanges::load(database.as_mut(), &self.context)?;
        if fresh {
            return self.early.clear(database.as_mut(), &self.context);
        }
        let Some(step) = self.early.in_doubt() else { return Ok(()) };
        self.preparation()?.step(&step)?;
        match &mut self.database {
            Some(database) => self.early.done(database.as_mut(), &self.context),
            None => Err(Error::bug("a sink lost its connection")),
        }
    }

    /// Brings everything that is buffered into the transaction.
    fn drain(&mut self, bad: &mut BadRows) -> Result<()> {
        let inputs = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.pending_rows = 0;
        if self.database()?.dialect().ddl_commits() {
            self.reshape(&inputs)?;
        }
        self.begin()?;
        // Batches of one table between two DDL statements form one group, however they interleave with other tables.
        let mut groups: Vec<(String, Vec<Batch>)> = Vec::new();
        for input in inputs {
            match input {
                SinkInput::Batch(batch) => self.gather(batch, &mut groups, bad)?,
                SinkInput::Schema(change) => self.follow(&change, &mut groups, bad)?,
            }
        }
        if fault::planted("mutant.sink_commit_splits_epoch", &self.context.flow) {
            let half = groups.len().div_ceil(2);
            for (name, batches) in groups.drain(..half) {
                self.apply(&name, batches, bad)?;
            }
            self.commit_transaction()?;
            self.begin()?;
        }
        for (name, batches) in groups {
            self.apply(&name, batches, bad)?;
        }
        Ok(())
    }

    fn gather(&mut self, batch: Batch, groups: &mut Vec<(String, Vec<Batch>)>, bad: &mut BadRows) -> Result<()> {
        self.admit(batch.relation())?;
        let name = self.preparation()?.place(batch.relation()).table;
        if !self.tables.get(&name).is_some_and(|table| table.takes(batch.relation())) {
            self.apply_group(&name, groups, bad)?;
            let table = self.preparation()?.prepare(batch.relation())?;
            self.require_transaction()?;
            self.tables.insert(name.clone(), table);
        }
        match groups.iter_mut().find(|(group, _)| *group == name) {
            Some((_, batches)) => batches.push(batch),
            None => groups.push((name, vec![batch])),
        }
        Ok(())
    }

    fn follow(
        &mut self,
        change: &SchemaChange,
        groups: &mut Vec<(String, Vec<Batch>)>,
        bad: &mut BadRows,
    ) -> Result<()> {
        let step = EarlyChange::of(&self.options, change);
        if self.database()?.dialect().ddl_commits() && step.is_some() {
            // Rows of this and of other tables were grouped by the names that tables have in the end.
            for (name, batches) in std::mem::take(groups) {
                self.apply(&name, batches, bad)?;
            }
            self.tables.clear();
        }
        let name = self.preparation()?.place(&change.relation).table;
        self.apply_group(&name, groups, bad)?;
        if let Change::RenameTable { from } = &change.change {
            let from_table = self.options.table_name(from);
            self.apply_group(&from_table, groups, bad)?;
            self.tables.remove(&from_table);
            self.origins.renamed(from);
        }
        self.admit_changed(change)?;
        self.tables.remove(&name);
        let early = step.is_some_and(|step| self.early.pass(&step));
        self.preparation()?.follow(change, early)?;
        self.require_transaction()
    }

    /// Checks that a relation does not get into the table of another one.
    fn admit(&mut self, relation: &Relation) -> Result<()> {
        let Some(database) = &mut self.database else {
            return Err(Error::bug("a sink was written before it was claimed"));
        };
        self.origins.admit(database.as_mut(), &self.context, &self.options, relation.name())
    }

    /// As [`Self::admit`], of a table that comes to be or changes.
    fn admit_changed(&mut self, change: &SchemaChange) -> Result<()> {
        if matches!(change.change, Change::Truncate | Change::DropTable) {
            Ok(())
        } else {
            self.admit(&change.relation)
        }
    }

    /// Does the DDL of the inputs before their transaction begins: see `early`.
    fn reshape(&mut self, inputs: &[SinkInput]) -> Result<()> {
        // What was done before a crash is passed over where the stream comes to it again.
        let mut ahead: Vec<EarlyChange> = self.early.iter().cloned().collect();
        for input in inputs {
            match input {
                SinkInput::Batch(batch) => {
                    self.admit(batch.relation())?;
                    let name = self.options.table_name(batch.relation().name());
                    let known = self.tables.get(&name).is_some_and(|table| table.takes(batch.relation()));
                    if !known && ahead.is_empty() {
                        self.shape_as_it_is(batch.relation())?;
                    }
                }
                SinkInput::Schema(change) => self.reshape_for(change, &mut ahead)?,
            }
        }
        self.require_transaction()
    }

    fn reshape_for(&mut self, change: &SchemaChange, ahead: &mut Vec<EarlyChange>) -> Result<()> {
        let name = self.options.table_name(change.relation.name());
        if matches!(change.change, Change::Truncate | Change::DropTable) {
            return Ok(());
        }
        if let Change::RenameTable { from } = &change.change {
            self.origins.renamed(from);
        }
        self.admit_changed(change)?;
        if !matches!(change.change, Change::CreateTable) && !self.preparation()?.evolves(&name, &change.change)? {
            return Ok(());
        }
        let context = self.context.clone();
        if let Some(step) = EarlyChange::of(&self.options, change) {
            if let Some(at) = ahead.iter().position(|other| *other == step) {
                ahead.remove(at);
                return Ok(());
            }
            self.undo()?;
            let token = self.token;
            ledger::still_ours(self.database()?, &context, token)?;
            let Some(database) = &mut self.database else { return Err(Error::bug("a sink lost its connection")) };
            self.early.intend(database.as_mut(), &context, step.clone())?;
            fault::point("ddl.early_before", &context.flow)?;
            self.preparation()?.step(&step)?;
            fault::point("ddl.early_after", &context.flow)?;
            let Some(database) = &mut self.database else { return Err(Error::bug("a sink lost its connection")) };
            self.early.done(database.as_mut(), &context)?;
            // Rows from before it come in their old shape, and have to find the columns that there are now.
            self.tables.clear();
        }
        if ahead.is_empty() { self.shape_as_it_is(&change.relation) } else { Ok(()) }
    }

    /// Shapes a table for a relation to which no change of the target is still to come.
    fn shape_as_it_is(&mut self, relation: &Arc<Relation>) -> Result<()> {
        let none = EarlyChanges::default();
        match &mut self.database {
            Some(database) => Preparation {
                database: database.as_mut(),
                options: &self.options,
                context: &self.context,
                early: &none,
                in_transaction: &mut self.in_transaction,
                rolled_back: &mut self.rolled_back,
            }
            .shape(relation),
            None => Err(Error::bug("a sink was written before it was claimed")),
        }
    }

    /// Ends a transaction with rows in it before DDL would commit it.
    fn undo(&mut self) -> Result<()> {
        if self.in_transaction {
            self.database()?.execute("ROLLBACK", &[])?;
            self.in_transaction = false;
            self.rolled_back = true;
        }
        Ok(())
    }

    /// Fails when DDL ended the transaction that had rows of the epoch in it. They come again: by then the DDL is done.
    fn require_transaction(&mut self) -> Result<()> {
        if !self.rolled_back {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "a table was changed in the middle of a large epoch; the epoch is written again from its beginning",
        ))
    }

    fn preparation(&mut self) -> Result<Preparation<'_>> {
        match &mut self.database {
            Some(database) => Ok(Preparation {
                database: database.as_mut(),
                options: &self.options,
                context: &self.context,
                early: &self.early,
                in_transaction: &mut self.in_transaction,
                rolled_back: &mut self.rolled_back,
            }),
            None => Err(Error::bug("a sink was written before it was claimed")),
        }
    }

    fn apply_group(&mut self, name: &str, groups: &mut Vec<(String, Vec<Batch>)>, bad: &mut BadRows) -> Result<()> {
        match groups.iter().position(|(group, _)| group == name) {
            Some(index) => {
                let (_, batches) = groups.remove(index);
                self.apply(name, batches, bad)
            }
            None => Ok(()),
        }
    }

    /// Compacts the batches of one table and applies them inside the transaction.
    fn apply(&mut self, name: &str, batches: Vec<Batch>, bad: &mut BadRows) -> Result<()> {
        let flow = self.context.flow.as_str();
        let Some(table) = self.tables.get(name) else {
            return Err(Error::bug(format!("table {name} was not prepared")));
        };
        let Some(database) = &mut self.database else {
            return Err(Error::bug("a sink was written before it was claimed"));
        };
        let images = Images::new(table, batches)?;
        let (changes, refused) = compact(database.as_mut(), table, &images, flow)?;
        for (row, reason) in refused {
            let (batch, row) = images.origin(row);
            bad.reject(BadRow::of_batch(batch, row, reason))?;
        }
        for refused in database.apply(table, &changes)? {
            let (batch, row) = images.origin(changes.origin(refused.row));
            bad.reject(BadRow::of_batch(batch, row, refused.reason))?;
        }
        Ok(())
    }
}

/// What a group of batches comes to, and the rows that cannot be used.
fn compact(
    database: &mut dyn Database,
    table: &Table,
    images: &Images,
    flow: &str,
) -> Result<(Changes, Vec<(u32, String)>)> {
    if table.mode == Mode::Append {
        if !images.append_only() {
            return Err(Error::config(format!(
                "mode append cannot apply updates or deletes of {}",
                table.relation.name()
            ))
            .with_setting("mode")
            .with_hint("use `mode: upsert` to keep the target in step, or drop changes before this task with Filter"));
        }
        return appended(images);
    }
    if table.key.is_empty() {
        return multiset::net(images);
    }
    let mode = FoldMode {
        keep_dead: table.soft_delete(),
        keep_first: fault::planted("mutant.sink_compaction_keeps_first", flow),
    };
    let mut folded = fold(images, &table.key, mode)?;
    let changes = resolve::resolve(database, table, images, &mut folded)?;
    Ok((changes, folded.refused))
}

/// The rows of a table that is only added to, and those that lack a value.
fn appended(images: &Images) -> Result<(Changes, Vec<(u32, String)>)> {
    if images.all_complete() {
        return Ok((Changes { rows: images.batches(), likely_new: true, ..Changes::default() }, Vec::new()));
    }
    let (whole, partial): (Vec<u32>, Vec<u32>) = (0..images.len()).partition(|&n| images.complete(n));
    let refused = partial.into_iter().map(|n| (n, images.not_sent(n, "mode append looks no row up"))).collect();
    let columns: Vec<usize> = (0..images.schema().fields().len()).collect();
    let rows = if whole.is_empty() { Vec::new() } else { vec![images.take(&columns, &whole)?] };
    Ok((Changes { rows, origins: Some(whole), likely_new: true, ..Changes::default() }, refused))
}

#[async_trait]
impl Sink for SqlSink {
    async fn open(&mut self, context: &SinkContext) -> Result<Option<Recorded>> {
        self.context = context.clone();
        let Some(mut database) = (self.connect)(false)? else { return Ok(None) };
        let recorded = ledger::recorded(database.as_mut(), context)?;
        self.database = Some(database);
        self.seen.clone_from(&recorded);
        Ok(recorded)
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        // Opened anew for writing: `open` was to change nothing, and a file that did not exist may be created now.
        self.database = None;
        self.database = (self.connect)(true)?;
        let ddl_commits = self.database()?.dialect().ddl_commits();
        if ddl_commits {
            self.create_bookkeeping()?;
        }
        self.begin()?;
        if !ddl_commits {
            self.create_bookkeeping()?;
        }
        let fresh = match self.take_ledger(claim) {
            Ok(fresh) => fresh,
            Err(error) => {
                // Nobody is to wait for the row that was locked; the error is what counts.
                let _closed_otherwise = self.database()?.execute("ROLLBACK", &[]);
                self.in_transaction = false;
                return Err(error);
            }
        };
        self.commit_transaction()?;
        self.token = claim.token;
        self.committed = claim.cut.epoch;
        self.origins = Origins::default();
        if ddl_commits { self.settle_early(fresh) } else { Ok(()) }
    }

    async fn write(&mut self, input: SinkInput, bad: &mut BadRows) -> Result<()> {
        fault::point("sink.write", &self.context.flow)?;
        if let SinkInput::Batch(batch) = &input {
            if batch.num_rows() == 0 {
                return Ok(());
            }
            self.pending_bytes += batch.memory_bytes() as u64 + batch.num_rows() as u64 * FOLDED_ROW_BYTES;
            self.pending_rows += batch.num_rows();
        }
        self.pending.push(input);
        if self.pending_bytes >= self.options.staging_bytes || self.pending_rows >= GROUP_ROWS_MAX {
            self.drain(bad)?;
        }
        Ok(())
    }

    async fn flush(&mut self, cut: &Cut, bad: &mut BadRows) -> Result<Option<PreparedCommit>> {
        fault::point("sink.flush", &self.context.flow)?;
        self.drain(bad)?;
        let (context, token, previous) = (self.context.clone(), self.token, self.committed);
        if let Some(database) = &mut self.database {
            self.early.commit(database.as_mut(), &context)?;
        }
        ledger::advance(self.database()?, &context, token, previous, cut)?;
        fault::point("sink.commit_before", &self.context.flow)?;
        self.commit_transaction()?;
        fault::point("sink.commit_after_no_reply", &self.context.flow)?;
        self.committed = cut.epoch;
        Ok(None)
    }

    async fn close(&mut self) -> Result<()> {
        self.pending.clear();
        self.tables.clear();
        // Dropping a connection rolls its transaction back, in both databases.
        self.database = None;
        self.in_transaction = false;
        Ok(())
    }
}
