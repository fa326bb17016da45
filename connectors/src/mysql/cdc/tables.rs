//! The captured tables: their shapes, and the rows of them that are being collected.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

use aqueduct_model::{BadRows, Batch, Error, ErrorKind, Relation, RelationName, Result};

use crate::mysql::binlog::{RowBuilders, RowDecoder, RowsEvent, table_of};
use crate::mysql::rows::ZeroDates;

/// One captured table.
struct Captured {
    relation: Arc<Relation>,
    builders: RowBuilders,
    /// For the layout that the log's last table map gave.
    decoder: Option<RowDecoder>,
    /// A rollback takes its rows back.
    is_transactional: bool,
}

/// All captured tables, and which of them the numbers in row events mean.
pub(super) struct Tables {
    zero_dates: ZeroDates,
    /// By name; see [`lookup`].
    by_name: HashMap<Vec<u8>, usize>,
    /// Tables that are no longer captured leave a gap.
    list: Vec<Option<Captured>>,
    /// By the number of the table map; `None` for a table that is not captured.
    by_id: HashMap<u64, Option<usize>>,
    /// Those with rows, in the order in which the first of them came.
    touched: Vec<usize>,
}

/// A place in the collected rows, to go back to.
#[derive(Debug, Clone, Default)]
pub(super) struct RowsSoFar(HashMap<usize, usize>);

/// Database and table with a zero in between, which neither may hold.
fn lookup(database: &[u8], table: &[u8]) -> Vec<u8> {
    [database, &[0], table].concat()
}

fn lookup_name(name: &RelationName) -> Vec<u8> {
    lookup(name.schema.as_deref().unwrap_or_default().as_bytes(), name.table.as_bytes())
}

impl Tables {
    pub fn new(zero_dates: ZeroDates) -> Self {
        Self { zero_dates, by_name: HashMap::new(), list: Vec::new(), by_id: HashMap::new(), touched: Vec::new() }
    }

    /// Captures a table, or one that is captured under another shape. No rows of it may be pending.
    ///
    /// # Errors
    /// `Bug` for a column of a type that no column of MySQL has.
    pub fn put(&mut self, relation: Arc<Relation>, is_transactional: bool) -> Result<()> {
        let captured =
            Captured { builders: RowBuilders::new(relation.clone())?, relation, decoder: None, is_transactional };
        let name = lookup_name(captured.relation.name());
        match self.by_name.get(&name) {
            Some(&index) => self.list[index] = Some(captured),
            None => {
                self.by_name.insert(name, self.list.len());
                self.list.push(Some(captured));
            }
        }
        // Numbers may mean other tables now.
        self.by_id.clear();
        Ok(())
    }

    /// Captures a table no longer.
    pub fn remove(&mut self, name: &RelationName) {
        if let Some(index) = self.by_name.remove(&lookup_name(name)) {
            self.list[index] = None;
            self.by_id.clear();
        }
    }

    /// The shape of a captured table.
    pub fn get(&self, name: &RelationName) -> Option<&Arc<Relation>> {
        let index = *self.by_name.get(&lookup_name(name))?;
        self.list[index].as_ref().map(|captured| &captured.relation)
    }

    /// Whether a rollback takes rows of this table back; true for unknown ones.
    pub fn has_transactions(&self, name: &RelationName) -> bool {
        let index = self.by_name.get(&lookup_name(name));
        index.and_then(|&index| self.list[index].as_ref()).is_none_or(|captured| captured.is_transactional)
    }

    /// The shapes of all captured tables.
    pub fn relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.list.iter().flatten().map(|captured| &captured.relation)
    }

    /// Forgets what the numbers in row events mean: a new file begins.
    pub fn forget_ids(&mut self) {
        self.by_id.clear();
    }

    /// Learns which table a number means, and how its rows are laid out.
    ///
    /// # Errors
    /// The table whose rows cannot be decoded, and why; or `Data` for bytes that are no table map.
    pub fn map(&mut self, body: &[u8]) -> Result<Option<(RelationName, Error)>> {
        let (id, database, table) = table_of(body).map_err(Error::from)?;
        let index = self.by_name.get(&lookup(database, table)).copied();
        self.by_id.insert(id, index);
        let Some(captured) = index.and_then(|index| self.list[index].as_mut()) else { return Ok(None) };
        if captured.decoder.as_ref().is_some_and(|decoder| decoder.fits(body)) {
            return Ok(None);
        }
        match RowDecoder::new(&captured.relation, body, self.zero_dates) {
            Ok(decoder) => {
                captured.decoder = Some(decoder);
                Ok(None)
            }
            Err(error) if error.kind() == ErrorKind::Schema => Ok(Some((captured.relation.name().clone(), error))),
            Err(error) => Err(error),
        }
    }

    /// Collects the rows of an event; how many, and their bytes. Nothing for tables that are not captured.
    ///
    /// # Errors
    /// `Data` for rows without a table map, or that cannot be decoded.
    pub fn decode(&mut self, event: &RowsEvent<'_>, position: &dyn Display) -> Result<(usize, usize)> {
        if event.is_dummy() {
            return Ok((0, 0));
        }
        let index = self.by_id.get(&event.table_id).ok_or_else(|| {
            Error::new(ErrorKind::Data, format!("{position} of the binary log has rows without saying of which table"))
        })?;
        let Some(index) = *index else { return Ok((0, 0)) };
        let Some(captured) = self.list[index].as_mut() else { return Ok((0, 0)) };
        let Captured { builders, decoder: Some(decoder), .. } = captured else {
            return Err(Error::bug("a captured table was mapped without a decoder"));
        };
        if builders.rows() == 0 {
            self.touched.push(index);
        }
        let rows = decoder.decode(event, builders, position)?;
        Ok((rows, event.row_bytes()))
    }

    /// How many rows each table has so far.
    pub fn rows_so_far(&self) -> RowsSoFar {
        let counted =
            self.touched.iter().filter_map(|&index| Some((index, self.list[index].as_ref()?.builders.rows())));
        RowsSoFar(counted.collect())
    }

    /// Takes back what came behind `since`, in tables that take part in transactions.
    pub fn roll_back(&mut self, since: &RowsSoFar) {
        for &index in &self.touched {
            if let Some(captured) = self.list[index].as_mut().filter(|captured| captured.is_transactional) {
                captured.builders.drop_from(since.0.get(&index).copied().unwrap_or(0));
            }
        }
    }

    /// All rows collected so far, a batch per table.
    ///
    /// # Errors
    /// As [`RowBuilders::finish`].
    pub fn finish(&mut self, bad: &mut BadRows, committed_at_ms: i64) -> Result<Vec<Batch>> {
        let mut batches = Vec::with_capacity(self.touched.len());
        for index in std::mem::take(&mut self.touched) {
            if let Some(captured) = self.list[index].as_mut()
                && let Some(batch) = captured.builders.finish(bad)?
            {
                batches.push(batch.with_ingested_at_ms(committed_at_ms));
            }
        }
        Ok(batches)
    }
}
