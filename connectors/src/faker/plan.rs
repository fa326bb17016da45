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

/// The tables of a dataset and their order in time.
pub(super) struct Plan {
    /// The tables; an earlier one never refers to a later one.
    pub(super) tables: Vec<Table>,
    /// What columns may depend on.
    pub(super) world: World,
    dataset: DatasetName,
    changes: bool,
}

/// The rows of one table within a range of events, with their ops when there are changes.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// The rows in order.
    pub(super) keys: Vec<Key>,
    /// One op per row; empty when all are inserts.
    pub(super) ops: Vec<u8>,
}

impl Plan {
    /// The plan that the settings ask for.
    pub(super) fn new(config: &FakerConfig) -> Result<Self> {
        let tables = match config.dataset {
            DatasetName::Orders => vec![shop::orders()?],
            DatasetName::Customers => vec![shop::customers()?],
            DatasetName::Shop => vec![shop::customers()?, shop::orders()?],
            DatasetName::People => vec![people::people()?],
            DatasetName::Nexmark => nexmark::tables()?,
            DatasetName::Numbers => vec![numbers::numbers()?],
        };
        let changing_customers = config.changes && config.dataset == DatasetName::Shop;
        let world = World { seed: config.seed, locale: config.locale, changing_customers };
        Ok(Self { tables, world, dataset: config.dataset, changes: config.changes })
    }

    /// About how many bytes one row takes, to keep batches within their budget.
    pub(super) fn row_bytes(&self) -> usize {
        match self.dataset {
            DatasetName::Numbers => 32,
            DatasetName::Orders | DatasetName::Customers | DatasetName::Shop => 96,
            DatasetName::Nexmark => 160,
            DatasetName::People => 256,
        }
    }

    /// The rows of the events `from..to`, table by table.
    pub(super) fn chunks(&self, from: u64, to: u64) -> Vec<Chunk> {
        let mut chunks: Vec<Chunk> = self.tables.iter().map(|_| Chunk::default()).collect();
        match self.dataset {
            DatasetName::Shop => {
                for event in from..to {
                    let (table, index) = shop::place(event);
                    self.add(&mut chunks[table], index);
                }
            }
            DatasetName::Nexmark => {
                for event in from..to {
                    chunks[nexmark::table_of(event)].keys.push(Key { index: event, version: 0 });
                }
            }
            _ => {
                for event in from..to {
                    self.add(&mut chunks[0], event);
                }
            }
        }
        chunks
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
