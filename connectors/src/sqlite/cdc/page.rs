//! From changes to batches: one page of the log at a time, regrouped by table.
//!
//! Inside a page the rows of different tables may change places, those of one table never do. Nobody can see it: an
//! epoch ends only where a round ends, and a page is a part of a round.

use std::collections::VecDeque;
use std::sync::Arc;

use aqueduct_model::{BadRow, BadRows, Batch, Change, Op, Polled, Result, SchemaChange};
use arrow::array::{BooleanArray, UInt8Array};
use rusqlite::Connection;

use crate::sqlite::connection::failed;
use crate::sqlite::table::{Identity, Part};
use crate::sqlite::value::{Rows, to_json};

use super::changes::{Event, Image};
use super::config::{Settings, planted};
use super::history::{Ddl, Reread, Version};
use super::position::{Cell, Phase, State, TableState};

/// Collects one page.
pub(super) struct Page<'a> {
    connection: &'a Connection,
    settings: &'a Settings,
    state: &'a mut State,
    out: &'a mut VecDeque<Polled>,
    bad: &'a mut BadRows,
    groups: Vec<Group>,
    max_rows: usize,
    bytes_left: usize,
}

struct Group {
    version: Arc<Version>,
    rows: Rows,
    ops: Vec<u8>,
    /// Cells of old images that do not fit their columns: column, row.
    absent: Vec<(usize, usize)>,
}

impl<'a> Page<'a> {
    /// An empty page of about `max_bytes`, whose batches hold about `max_rows`.
    pub(super) fn new(
        (connection, settings): (&'a Connection, &'a Settings),
        state: &'a mut State,
        out: &'a mut VecDeque<Polled>,
        bad: &'a mut BadRows,
        (max_rows, max_bytes): (usize, usize),
    ) -> Self {
        Self { connection, settings, state, out, bad, groups: Vec::new(), max_rows, bytes_left: max_bytes }
    }

    /// Takes what the log says; false once the page is full.
    pub(super) fn take(&mut self, event: Event<'_>, version: &Arc<Version>) -> Result<bool> {
        match event {
            Event::Schema(_) => self.schema(version)?,
            Event::Change { seq, before, after, .. } => self.change(seq, version, before, after)?,
        }
        Ok(self.bytes_left > 0)
    }

    /// Hands out what was collected.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush()
    }

    fn change(
        &mut self,
        seq: i64,
        version: &Arc<Version>,
        before: Option<Image<'_>>,
        after: Option<Image<'_>>,
    ) -> Result<()> {
        let Some(table) = self.state.tables.get(&version.id) else { return Ok(()) };
        let is_inside = |image: &Option<Image<'_>>| match image {
            Some(image) => inside(self.connection, version, table, image),
            None => Ok(false),
        };
        let (old_inside, new_inside) = (is_inside(&before)?, is_inside(&after)?);
        let (mut old, mut new) = (before.filter(|_| old_inside), after.filter(|_| new_inside));
        let layout = &version.layout;
        if let Some(image) = new.filter(|image| layout.misfit(|i| image.cell(i)).is_some()) {
            self.bad.reject(refused(version, format!("change {seq}"), |i| image.cell(i)))?;
            new = None;
        }
        // A row that did not fit was never given out. Its old image only says which key is to be gone.
        let old_fits = old.is_none_or(|image| layout.misfit(|i| image.cell(i)).is_none());
        if !old_fits && !old.is_some_and(|image| has_key(version, &image)) {
            old = None;
        }
        let bytes = {
            let group = self.group(version);
            let start = group.rows.bytes();
            match (&old, &new) {
                (Some(old), Some(new)) if old_fits => {
                    group.push(old, Op::UpdateBefore);
                    group.push(new, Op::UpdateAfter);
                }
                _ => {
                    if let Some(old) = &old {
                        group.push_old(old, old_fits);
                    }
                    if let Some(new) = &new {
                        group.push(new, Op::Insert);
                    }
                }
            }
            group.rows.bytes() - start
        };
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        Ok(())
    }

    fn group(&mut self, version: &Arc<Version>) -> &mut Group {
        let known = self.groups.iter().rposition(|group| Arc::ptr_eq(&group.version, version));
        let index = known.unwrap_or_else(|| {
            let rows = Rows::new(version.relation.columns().clone(), &version.layout);
            self.groups.push(Group { version: version.clone(), rows, ops: Vec::new(), absent: Vec::new() });
            self.groups.len() - 1
        });
        &mut self.groups[index]
    }

    fn schema(&mut self, version: &Arc<Version>) -> Result<()> {
        self.flush()?;
        if version.ddl == Ddl::Create && self.settings.names(&version.table.name) {
            self.state.tables.entry(version.id).or_insert(TableState::new(0, Phase::Snapshot));
        }
        let Some(table) = self.state.tables.get_mut(&version.id) else { return Ok(()) };
        if version.version <= table.version {
            return Ok(());
        }
        table.version = version.version;
        let say = |change| Polled::Schema(SchemaChange::new(version.relation.clone(), change));
        self.out.extend(version.ddl.announcement().map(say));
        if version.ddl == Ddl::Drop {
            self.state.tables.remove(&version.id);
            return Ok(());
        }
        match version.reread {
            Reread::No => {}
            Reread::Upsert if table.phase == Phase::Snapshot => table.again = table.after.is_some(),
            Reread::Upsert => (table.phase, table.after) = (Phase::Upsert, None),
            Reread::Replace => {
                (table.phase, table.again, table.after) = (Phase::Snapshot, false, None);
                self.out.push_back(say(Change::Truncate));
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        for group in self.groups.drain(..).filter(|group| group.rows.len() > 0) {
            cut(group.finish()?, self.max_rows, self.out);
        }
        Ok(())
    }
}

impl Group {
    fn push(&mut self, image: &Image<'_>, op: Op) {
        self.rows.push(|i| image.cell(i));
        self.ops.push(op as u8);
    }

    fn push_old(&mut self, image: &Image<'_>, fits: bool) {
        if !fits {
            let row = self.rows.len();
            let columns = 0..self.version.layout.kinds.len();
            self.absent.extend(columns.filter(|&i| !self.version.layout.fits(i, image.cell(i))).map(|i| (i, row)));
        }
        self.push(image, Op::Delete);
    }

    fn finish(self) -> Result<Batch> {
        let rows = self.rows.finish()?;
        let count = rows.num_rows();
        let relation = self.version.relation.clone();
        let mut batch = if self.ops.iter().all(|&op| op == Op::Insert as u8) {
            Batch::inserts(relation, rows)?
        } else {
            Batch::changes(relation, rows, UInt8Array::from(self.ops))?
        };
        let mut columns: Vec<usize> = self.absent.iter().map(|&(column, _)| column).collect();
        columns.sort_unstable();
        columns.dedup();
        for column in columns {
            let mut present = vec![true; count];
            for &(_, row) in self.absent.iter().filter(|(absent, _)| *absent == column) {
                present[row] = false;
            }
            batch = batch.with_present(column, BooleanArray::from(present))?;
        }
        Ok(batch)
    }
}

/// Queues a batch in pieces of about `max_rows`, never parting the halves of an update.
pub(super) fn cut(batch: Batch, max_rows: usize, out: &mut VecDeque<Polled>) {
    let mut start = 0;
    while start < batch.num_rows() {
        let mut end = (start + max_rows.max(1)).min(batch.num_rows());
        if batch.op(end - 1) == Op::UpdateBefore {
            end += 1;
        }
        out.push_back(Polled::Batch(batch.slice(start, end - start)));
        start = end;
    }
}

/// A row that does not fit its columns, with the reason.
pub(super) fn refused<'v>(
    version: &Version,
    at: String,
    cell: impl Fn(usize) -> rusqlite::types::ValueRef<'v>,
) -> BadRow {
    let columns = &version.table.columns;
    let reasons = match version.layout.misfit(&cell) {
        Some(column) => vec![version.layout.reason(column, &columns[column].name, cell(column))],
        None => Vec::new(),
    };
    let row: serde_json::Map<_, _> =
        columns.iter().enumerate().map(|(i, column)| (column.name.clone(), to_json(cell(i)))).collect();
    BadRow { relation: Some(version.relation.name().clone()), row: row.into(), reasons, position: Some(at) }
}

fn has_key(version: &Version, image: &Image<'_>) -> bool {
    let key = &version.table.key;
    !key.is_empty() && key.iter().all(|&column| version.layout.fits(column, image.cell(column)))
}

/// True when changes of this row are given out: rows beyond the snapshot's last chunk come with a later chunk.
pub(super) fn inside(
    connection: &Connection,
    version: &Version,
    table: &TableState,
    image: &Image<'_>,
) -> Result<bool> {
    if table.phase != Phase::Snapshot || planted("mutant.snapshot_overwrites_newer") {
        return Ok(true);
    }
    match &table.after {
        None => Ok(false),
        Some(after) => up_to(connection, version, image, after),
    }
}

/// True when a row lies at or before a bound, in the order in which SQLite keeps the table.
pub(super) fn up_to(connection: &Connection, version: &Version, image: &Image<'_>, bound: &[Cell]) -> Result<bool> {
    match &version.table.identity {
        Identity::Rowid { .. } => {
            let last = bound.first().and_then(Cell::integer);
            Ok(image.rid.is_some_and(|rid| last.is_some_and(|last| rid <= last)))
        }
        Identity::Key(parts) => compare(connection, parts, image, bound),
    }
}

/// Lets SQLite itself compare two keys: its collations decide, not ours.
fn compare(connection: &Connection, parts: &[Part], image: &Image<'_>, bound: &[Cell]) -> Result<bool> {
    let doing = "cannot compare two keys";
    let left: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| format!("?{} COLLATE {}", i + 1, crate::sqlite::connection::quote(&part.collation)))
        .collect();
    let right: Vec<String> = (0..parts.len()).map(|i| format!("?{}", parts.len() + i + 1)).collect();
    let sql = format!("SELECT ({}) <= ({})", left.join(","), right.join(","));
    let mut statement = connection.prepare_cached(&sql).map_err(|e| failed(doing, e))?;
    for (i, part) in parts.iter().enumerate() {
        let cell = Cell::keep(image.cell(part.column))?;
        statement.raw_bind_parameter(i + 1, cell).map_err(|e| failed(doing, e))?;
    }
    for (i, cell) in bound.iter().enumerate() {
        statement.raw_bind_parameter(parts.len() + i + 1, cell).map_err(|e| failed(doing, e))?;
    }
    let mut rows = statement.raw_query();
    let row = rows.next().map_err(|e| failed(doing, e))?;
    row.map_or(Ok(false), |row| row.get(0)).map_err(|e| failed(doing, e))
}
