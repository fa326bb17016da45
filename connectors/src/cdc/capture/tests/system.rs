//! The system that captures a [`World`](super::world::World).

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{BadRows, Batch, Change, Checksum, Error, ErrorKind, Op, Relation, Result, SchemaChange};
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt8Array};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::world::{Ddl, Row, Shared, World, is_backfilled, relation};
use crate::cdc::capture::{
    Key, KeyRange, LogBudget, LogItem, RowSink, Seen, Shown, Summed, System, TableInfo, TableReader, is_wanted,
};
use crate::row_checksum::{cell_texts, digests};

pub(super) struct FakeSystem {
    world: Shared,
    /// Which tables are captured.
    wanted: Vec<String>,
    at: usize,
    /// Within the transaction at `at`: the changes that were handed out.
    within: usize,
    /// The log does not begin where the stream does; `next` says so.
    is_lost: bool,
    captured: BTreeMap<String, Arc<Relation>>,
}

impl FakeSystem {
    pub(super) fn new(world: Shared, wanted: Vec<String>) -> Self {
        Self { world, wanted, at: 0, within: 0, is_lost: false, captured: BTreeMap::new() }
    }

    fn ddl(&mut self, name: &str, ddl: &Ddl) -> Option<SchemaChange> {
        let old = self.captured.get(name).cloned();
        match (ddl, old) {
            (Ddl::Create(keyed), _) => {
                let new = relation(name, *keyed, 1, 1);
                self.captured.insert(name.to_owned(), new.clone());
                Some(SchemaChange::new(new, Change::CreateTable))
            }
            (_, None) => None,
            (Ddl::Truncate, Some(old)) => Some(SchemaChange::new(old, Change::Truncate)),
            (Ddl::Drop, Some(old)) => {
                self.captured.remove(name);
                Some(SchemaChange::new(old, Change::DropTable))
            }
            (Ddl::AddColumn(columns), Some(old)) => {
                let new = relation(name, !old.key().is_empty(), *columns, old.version() + 1);
                self.captured.insert(name.to_owned(), new.clone());
                Some(SchemaChange::new(new, Change::AddColumns(vec![format!("c{columns}")])))
            }
        }
    }
}

fn lost(from: usize, world: &World) -> Error {
    let (begin, end) = (world.purged, world.log.len());
    Error::new(ErrorKind::LostPosition, format!("the log goes from {begin} to {end}, {from} is lost"))
}

/// Rows of a relation: further columns hold their number where they were filled in, and null otherwise.
pub(super) fn rows(relation: &Relation, rows: &[Row]) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
    ];
    for n in 2..relation.columns().fields().len() as u32 {
        let value = is_backfilled(n).then_some(i64::from(n));
        columns.push(Arc::new(Int64Array::from(vec![value; rows.len()])));
    }
    RecordBatch::try_new(relation.columns().clone(), columns).unwrap()
}

fn columns_of(relation: &Relation) -> u32 {
    relation.columns().fields().len() as u32 - 1
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sight {
    from: usize,
    to: usize,
}

#[async_trait]
impl System for FakeSystem {
    type Mark = usize;
    type Sight = Sight;
    type Transaction = usize;
    type Reader = FakeReader;

    async fn connect(&mut self) -> Result<()> {
        self.world.step("log.connect").await;
        Ok(())
    }

    async fn tables(&mut self) -> Result<Vec<TableInfo>> {
        self.world.step("log.tables").await;
        let world = self.world.lock();
        let info = |(name, table): (&String, &super::world::Table)| TableInfo {
            relation: relation(name, table.keyed, table.version, 1),
            rows_estimate: 0,
            native_key_order: table.native,
        };
        let mut infos: Vec<TableInfo> = world.tables.iter().map(info).collect();
        infos.retain(|info| is_wanted(&self.wanted, info.relation.name()));
        Ok(infos)
    }

    async fn end_of_log(&mut self) -> Result<usize> {
        self.world.step("log.end").await;
        Ok(self.world.lock().log.len())
    }

    async fn start(&mut self, from: &usize, tables: &[Arc<Relation>]) -> Result<()> {
        self.world.step("log.start").await;
        {
            let mut world = self.world.lock();
            self.is_lost = !(world.purged..=world.log.len()).contains(from);
            if self.is_lost && world.random.coin() {
                return Err(lost(*from, &world));
            }
        }
        (self.at, self.within) = (*from, 0);
        self.captured = tables.iter().map(|table| (table.name().table.clone(), table.clone())).collect();
        Ok(())
    }

    async fn add_table(&mut self, relation: Arc<Relation>) -> Result<()> {
        self.captured.insert(relation.name().table.clone(), relation);
        Ok(())
    }

    async fn next(&mut self, budget: &LogBudget<usize>, _: &mut BadRows) -> Result<LogItem<usize, usize>> {
        self.world.step("log.next").await;
        if self.is_lost {
            return Err(lost(self.at, &self.world.lock()));
        }
        let mut batches: Vec<Batch> = Vec::new();
        loop {
            if self.within == 0 && budget.until == Some(self.at) {
                return Ok(LogItem::Quiet(self.at));
            }
            let (transaction, parts) = {
                let mut world = self.world.lock();
                let Some(transaction) = world.log.get(self.at).cloned() else { return Ok(LogItem::Quiet(self.at)) };
                (transaction, world.random.ratio(1, 4))
            };
            if let Some((name, ddl)) = &transaction.ddl {
                self.at += 1;
                match self.ddl(name, ddl) {
                    Some(change) => return Ok(LogItem::Schema { change, boundary: Some(self.at) }),
                    None => continue,
                }
            }
            let left = transaction.changes.len() - self.within;
            let taken = if parts && left > 1 { 1 } else { left };
            for (name, change) in &transaction.changes[self.within..self.within + taken] {
                let Some(relation) = self.captured.get(name) else { continue };
                let (images, ops) = match *change {
                    (None, Some(new)) => (vec![new], vec![Op::Insert as u8]),
                    (Some(old), None) => (vec![old], vec![Op::Delete as u8]),
                    (Some(old), Some(new)) => (vec![old, new], vec![Op::UpdateBefore as u8, Op::UpdateAfter as u8]),
                    (None, None) => continue,
                };
                batches.push(Batch::changes(relation.clone(), rows(relation, &images), UInt8Array::from(ops))?);
            }
            self.within += taken;
            let this = self.at;
            let boundary = (self.within == transaction.changes.len()).then(|| {
                (self.at, self.within) = (self.at + 1, 0);
                self.at
            });
            let goes_on = !budget.single && boundary.is_some() && batches.len() < 5;
            let follows_ddl = self.world.lock().log.get(self.at).is_none_or(|next| next.ddl.is_some());
            if !goes_on || follows_ddl || budget.until == Some(self.at) {
                return Ok(LogItem::Rows { batches, transaction: this, boundary });
            }
        }
    }

    fn reached(&self, stream: &usize, mark: &usize) -> bool {
        stream >= mark
    }

    fn shown(&self, sight: &Sight, transaction: &usize) -> Shown {
        match *transaction {
            t if t < sight.from => Shown::Yes,
            t if t >= sight.to => Shown::No,
            _ => Shown::Unknown,
        }
    }

    async fn reader(&mut self) -> Result<FakeReader> {
        self.world.step("reader.open").await;
        Ok(FakeReader { world: self.world.clone() })
    }

    async fn durable(&mut self, mark: &usize) -> Result<()> {
        self.world.step("log.durable").await;
        if *mark > self.at {
            return Err(Error::bug(format!("{mark} is said to be durable, and {} is what was read", self.at)));
        }
        let mut world = self.world.lock();
        if world.random.coin() {
            world.purged = world.purged.max(*mark);
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(super) struct FakeReader {
    world: Shared,
}

/// Keys in the database's order: not ours, where the order is not native.
fn place(native: bool, key: i64) -> (i64, i64) {
    if native { (0, key) } else { (key % 7, key) }
}

fn value(key: &Key) -> i64 {
    key.column(0).as_primitive::<Int64Type>().value(0)
}

fn gone() -> Error {
    Error::new(ErrorKind::Schema, "the table is gone or has other columns")
}

impl FakeReader {
    /// The table's rows in its order, as far as it is the one that is asked for.
    fn rows_of(&self, table: &Relation) -> Result<(bool, Vec<Row>)> {
        let world = self.world.lock();
        let found = world.tables.get(&table.name().table).filter(|found| found.version >= columns_of(table));
        let found = found.ok_or_else(gone)?;
        let mut rows = found.rows.clone();
        rows.sort_by_key(|row| place(found.native, row.0));
        Ok((found.native, rows))
    }
}

#[async_trait]
impl TableReader for FakeReader {
    type Mark = usize;
    type Sight = Sight;

    async fn next_edge(&mut self, table: &Relation, after: Option<&Key>, rows: usize) -> Result<Option<Key>> {
        self.world.step("reader.edge").await;
        let (native, found) = self.rows_of(table)?;
        let after = after.map(|key| place(native, value(key)));
        let edge = found.iter().filter(|row| Some(place(native, row.0)) > after).nth(rows - 1);
        Ok(edge.map(|row| {
            let keys = RecordBatch::try_from_iter([("k", Arc::new(Int64Array::from(vec![row.0])) as ArrayRef)]);
            keys.unwrap()
        }))
    }

    async fn read_chunk(
        &mut self,
        table: &Relation,
        range: &KeyRange,
        streamed: &usize,
        sink: &mut dyn RowSink,
    ) -> Result<Seen<usize, Sight>> {
        let vague = {
            let mut world = self.world.lock();
            assert!(world.log.len() >= *streamed);
            world.vague && world.random.coin()
        };
        let mut from = self.world.lock().log.len();
        self.world.step("reader.select").await;
        if !vague {
            from = self.world.lock().log.len();
        }
        let (native, found) = self.rows_of(table)?;
        let mut to = self.world.lock().log.len();
        let is_within = |row: &&Row| {
            let place_of = |key: &Key| place(native, value(key));
            range.after.as_ref().is_none_or(|after| place(native, row.0) > place_of(after))
                && range.up_to.as_ref().is_none_or(|up_to| place(native, row.0) <= place_of(up_to))
        };
        let found: Vec<Row> = found.iter().filter(is_within).copied().collect();
        for part in found.chunks(2) {
            self.world.step("reader.rows").await;
            sink.take(rows(table, part)).await?;
        }
        if vague {
            to = self.world.lock().log.len();
        }
        self.world.step("reader.done").await;
        Ok(Seen { sight: Sight { from, to }, high: to })
    }

    async fn sum_chunk(
        &mut self,
        table: &Relation,
        range: &KeyRange,
        streamed: &usize,
    ) -> Result<Option<Summed<usize, Sight>>> {
        let Some(texts) = cell_texts(table) else { return Ok(None) };
        let (mut rows, mut checksum): (Vec<RecordBatch>, _) = (Vec::new(), Checksum::default());
        let seen = self.read_chunk(table, range, streamed, &mut rows).await?;
        for rows in &rows {
            digests(&texts, rows)?.into_iter().for_each(|digest| checksum.add(digest));
        }
        Ok(Some((seen, checksum)))
    }

    async fn is_at_most(&mut self, table: &Relation, keys: &RecordBatch, edge: &Key) -> Result<Vec<bool>> {
        self.world.step("reader.compare").await;
        let native = self.world.lock().is_native(&table.name().table);
        let edge = place(native, value(edge));
        let keys = keys.column(0).as_primitive::<Int64Type>();
        Ok(keys.values().iter().map(|&key| place(native, key) <= edge).collect())
    }
}
