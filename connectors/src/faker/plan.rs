//! What is generated: the tables of a dataset, and which table event `i` belongs to.

use std::sync::Arc;

use aqueduct_model::{Op, Relation, RelationName, Result};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};

use super::changes::{self, Event};
use super::config::{DatasetName, FakerConfig, Locale};
use super::{nexmark, numbers, people, shop};

/// One row to generate: the row, and in which of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// Which row of its table, from 0.
    pub(super) index: u64,
    /// How often it was updated before.
    pub(super) version: u32,
}

/// What every column may depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct World {
    /// The seed.
    pub(super) seed: u64,
    /// The language of words.
    pub(super) locale: Locale,
    /// Rows of the table `customers` come and go too; references must respect it.
    pub(super) changing_customers: bool,
}

/// Makes the columns of a table for some of its rows.
type Columns = fn(&World, &[Key]) -> Result<Vec<ArrayRef>>;

/// A table of the dataset.
#[derive(Clone)]
pub(super) struct Table {
    /// Name, columns and key.
    pub(super) relation: Arc<Relation>,
    /// Makes the columns.
    pub(super) columns: Columns,
}

impl Table {
    /// A table whose first column is its key.
    pub(super) fn keyed(name: &str, fields: &[(&str, DataType)], columns: Columns) -> Result<Self> {
        Self::new(name, fields, &[fields[0].0], columns)
    }

    /// A table; no column is ever NULL.
    pub(super) fn new(name: &str, fields: &[(&str, DataType)], key: &[&str], columns: Columns) -> Result<Self> {
        let fields: Vec<Field> = fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), false)).collect();
        let relation = Relation::new(RelationName::table(name), Arc::new(Schema::new(fields)), key, 1)?;
        Ok(Self { relation: Arc::new(relation), columns })
    }
}

/// Which tables the events of a cycle belong to: for each table, in the order of the tables, how many in a row.
type Cycle = &'static [u64];

/// The tables of a dataset and their order in time.
pub(super) struct Plan {
    /// The tables; an earlier one never refers to a later one.
    pub(super) tables: Vec<Table>,
    /// What columns may depend on.
    pub(super) world: World,
    cycle: Cycle,
    numbering: Numbering,
    row_bytes: usize,
    changes: bool,
}

/// What the index of a row counts.
#[derive(Debug, Clone, Copy)]
enum Numbering {
    /// The rows of its table.
    Table,
    /// The events of all tables, so that a row knows its time.
    Event,
}

/// Events of several tables are handed out in groups of so many: first all of the first table, then those of the
/// next. Batches would have a handful of rows otherwise. A multiple of every cycle.
const GROUP: u64 = 8_000;

/// Where the next event is.
///
/// A group that the limit cuts off is handed out in the order of its events instead (`singly`), so that it can be
/// continued under a higher limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// So many events were handed out.
    pub(super) next: u64,
    /// The group of `next` was begun in the order of its events.
    pub(super) singly: bool,
}

/// Rows of one table that come next.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The table's place in [`Plan::tables`].
    pub(super) table: usize,
    /// The rows in order.
    pub(super) keys: Vec<Key>,
    /// One op per row; empty when all are inserts.
    pub(super) ops: Vec<u8>,
}

impl Plan {
    /// The plan that the settings ask for.
    pub(super) fn new(config: &FakerConfig) -> Result<Self> {
        let (tables, cycle, row_bytes): (_, Cycle, _) = match config.dataset {
            DatasetName::Orders => (vec![shop::orders()?], &[1], 96),
            DatasetName::Customers => (vec![shop::customers()?], &[1], 96),
            DatasetName::Shop => (vec![shop::customers()?, shop::orders()?], &shop::CYCLE, 96),
            DatasetName::People => (vec![people::people()?], &[1], 256),
            DatasetName::Nexmark => (nexmark::tables()?, &nexmark::CYCLE, 160),
            DatasetName::Numbers => (vec![numbers::numbers()?], &[1], 32),
        };
        let changing_customers = config.changes && config.dataset == DatasetName::Shop;
        let numbering = if config.dataset == DatasetName::Nexmark { Numbering::Event } else { Numbering::Table };
        let world = World { seed: config.seed, locale: config.locale, changing_customers };
        Ok(Self { tables, world, cycle, numbering, row_bytes, changes: config.changes })
    }

    /// About how many bytes one row takes, to keep batches within their budget.
    pub(super) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// True when going on at `cursor` is possible under a limit: not inside a group that the limit now cuts off.
    pub(super) fn fits(&self, cursor: Cursor, limit: Option<u64>) -> bool {
        let whole_group = self.tables.len() == 1 || cursor.singly || cursor.next.is_multiple_of(GROUP);
        let needed = if whole_group { cursor.next } else { cursor.next.next_multiple_of(GROUP) };
        limit.is_none_or(|limit| needed <= limit)
    }

    /// Takes the events from `cursor` on, of one table, up to `rows` rows (one more to end an update) and not beyond
    /// `until`, which is under the limit.
    pub(super) fn take(&self, cursor: &mut Cursor, rows: usize, until: Option<Cursor>, limit: Option<u64>) -> Chunk {
        let end = until.map(|until| until.next).or(limit).unwrap_or(u64::MAX);
        let cycle: u64 = self.cycle.iter().sum();
        let group = cursor.next - cursor.next % GROUP;
        let cut_off = limit.is_some_and(|limit| group + GROUP > limit)
            || until.is_some_and(|until| until.singly && until.next > group && until.next <= group + GROUP);
        let singly = self.tables.len() > 1 && (cursor.singly || cut_off);
        let mut chunk = Chunk::default();
        // The chunk's events: those of one table in this cycle or group, from the `nth` of them on.
        let (start, mut nth, count) = if self.tables.len() == 1 {
            (0, cursor.next, u64::MAX)
        } else {
            let start = if singly { cursor.next - cursor.next % cycle } else { group };
            let cycles = if singly { 1 } else { GROUP / cycle };
            let mut nth = cursor.next - start;
            while nth >= self.cycle[chunk.table] * cycles {
                nth -= self.cycle[chunk.table] * cycles;
                chunk.table += 1;
            }
            (start, nth, self.cycle[chunk.table] * cycles)
        };
        let per_cycle = self.cycle[chunk.table];
        let first: u64 = self.cycle[..chunk.table].iter().sum();
        while nth < count && cursor.next < end && chunk.keys.len() < rows {
            let cycles_before = start / cycle + nth / per_cycle;
            let index = match self.numbering {
                Numbering::Table => cycles_before * per_cycle + nth % per_cycle,
                Numbering::Event => cycles_before * cycle + first + nth % per_cycle,
            };
            self.add(&mut chunk, index);
            nth += 1;
            cursor.next += 1;
        }
        cursor.singly = singly && !cursor.next.is_multiple_of(GROUP);
        chunk
    }

    fn add(&self, chunk: &mut Chunk, index: u64) {
        if !self.changes {
            chunk.keys.push(Key { index, version: 0 });
            return;
        }
        let mut put = |index, version, op: Op| {
            chunk.keys.push(Key { index, version });
            chunk.ops.push(op as u8);
        };
        match changes::event(self.world.seed, index) {
            Event::Insert { index } => put(index, 0, Op::Insert),
            Event::Update { index, version } => {
                put(index, version - 1, Op::UpdateBefore);
                put(index, version, Op::UpdateAfter);
            }
            Event::Delete { index, version } => put(index, version, Op::Delete),
        }
    }
}
