//! The captured tables, and their rows of the transactions that are being collected: one batch per table.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{BadRow, BadRows, Batch, Relation, RelationName, Result};

use super::catalog::table_id;
use super::mark::Lsn;
use super::pgoutput;
use super::table_rows::{Layout, TableRows};
use crate::postgres::copy::Unrepresentable;

/// What is known of a table that the log has named.
enum Known {
    /// It is not captured. The log describes it once per session, so that this is kept in case it will be.
    Ignored(pgoutput::Relation),
    Captured(Box<TableRows>),
}

/// The transaction that rows are of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transaction {
    pub xid: u32,
    /// Where its commit record begins.
    pub commit: Lsn,
    pub committed_at_ms: i64,
}

/// See the module.
///
/// Rows of one table keep their order. Rows of several tables are brought together per table, inside what is handed out as
/// one group of whole transactions.
pub(crate) struct Group {
    /// The captured tables' shapes where the log is being read.
    captured: BTreeMap<RelationName, Arc<Relation>>,
    /// By the number that the log calls tables by.
    known: BTreeMap<u32, Known>,
    /// Tables with rows, in the order of their first row.
    order: Vec<u32>,
    rows: usize,
    bytes: usize,
    unrepresentable: Unrepresentable,
}

impl Group {
    /// Without tables.
    pub(crate) fn new(unrepresentable: Unrepresentable) -> Self {
        let (captured, known) = (BTreeMap::new(), BTreeMap::new());
        Self { captured, known, order: Vec::new(), rows: 0, bytes: 0, unrepresentable }
    }

    /// Captures a table from here on, in that shape.
    pub(crate) fn capture(&mut self, relation: Arc<Relation>) {
        self.captured.insert(relation.name().clone(), relation);
    }

    /// A name is no longer captured.
    pub(crate) fn forget(&mut self, name: &RelationName) {
        self.captured.remove(name);
    }

    /// The shape of a captured table.
    pub(crate) fn shape(&self, name: &RelationName) -> Option<&Arc<Relation>> {
        self.captured.get(name)
    }

    /// The captured table that the log calls by this number.
    pub(crate) fn table(&self, oid: u32) -> Option<&Arc<Relation>> {
        match self.known.get(&oid) {
            Some(Known::Captured(rows)) => Some(rows.relation()),
            _ => None,
        }
    }

    /// The same, also where the log has not described it yet in this session.
    pub(crate) fn table_or_shape(&self, oid: u32) -> Option<&Arc<Relation>> {
        let shape = || self.captured.values().find(|relation| table_id(relation) == Some(oid));
        self.table(oid).or_else(shape)
    }

    /// A table is no longer captured; nothing of it is pending.
    pub(crate) fn drop_table(&mut self, relation: &Relation) {
        self.captured.remove(relation.name());
        self.known
            .retain(|_, known| !matches!(known, Known::Captured(rows) if rows.relation().name() == relation.name()));
    }

    /// Notes how the rows that follow are to be read; nothing of the table is pending.
    pub(crate) fn describe(&mut self, oid: u32, relation: Arc<Relation>, layout: Layout) -> Result<()> {
        self.captured.insert(relation.name().clone(), relation.clone());
        let rows = TableRows::new(relation, layout, self.unrepresentable)?;
        self.known.insert(oid, Known::Captured(Box::new(rows)));
        Ok(())
    }

    /// Notes that rows of a table are not wanted.
    pub(crate) fn ignore(&mut self, logged: pgoutput::Relation) {
        self.known.insert(logged.oid, Known::Ignored(logged));
    }

    /// What the log has said of a table that was not captured.
    pub(crate) fn ignored(&self, name: &RelationName) -> Option<&pgoutput::Relation> {
        self.known.values().find_map(|known| match known {
            Known::Ignored(logged) if logged.is_named(name) => Some(logged),
            _ => None,
        })
    }

    /// Appends a change of a captured table; a refused one goes to `bad`. False for a table that is not captured.
    pub(crate) fn append(
        &mut self,
        oid: u32,
        transaction: &Transaction,
        bad: &mut BadRows,
        append: impl FnOnce(&mut TableRows) -> Result<Option<BadRow>>,
    ) -> Result<bool> {
        let Some(Known::Captured(rows)) = self.known.get_mut(&oid) else { return Ok(false) };
        if rows.is_empty() {
            self.order.push(oid);
            rows.committed_at(transaction.committed_at_ms);
        }
        let bytes = rows.bytes();
        let refused = append(rows)?;
        self.bytes += rows.bytes() - bytes;
        self.rows += 1;
        if let Some(row) = refused {
            let position = Some(format!("a row of the transaction at {}", transaction.commit));
            bad.reject(BadRow { position, ..row })?;
        }
        Ok(true)
    }

    /// Changes that were counted since the last [`Group::take`].
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether some of them are of the table with that number.
    pub(crate) fn has_rows_of(&self, oid: u32) -> bool {
        self.order.contains(&oid)
    }

    /// Their cells' bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was collected, a batch per table.
    pub(crate) fn take(&mut self) -> Result<Vec<Batch>> {
        (self.rows, self.bytes) = (0, 0);
        let mut batches = Vec::with_capacity(self.order.len());
        for oid in std::mem::take(&mut self.order) {
            if let Some(Known::Captured(rows)) = self.known.get_mut(&oid) {
                batches.extend(rows.take()?);
            }
        }
        Ok(batches)
    }
}
