//! Reads a captured table in chunks, in the order in which SQLite keeps it.

use aqueduct_model::{BadRows, Batch, Op, Result};
use arrow::array::UInt8Array;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params_from_iter};

use crate::sqlite::connection::{failed, quote};
use crate::sqlite::table::{Identity, Table};
use crate::sqlite::value::Rows;

use super::changes::{RowId, key_bytes};
use super::history::Version;
use super::page::refused;
use super::position::{Cell, Phase};

/// What part of a table to read.
pub(super) struct Range<'a> {
    /// Behind this row; `None` from the start.
    pub(super) after: Option<&'a [Cell]>,
    /// Up to and with this row; `None` to the end.
    pub(super) to: Option<&'a [Cell]>,
    /// At most this many rows.
    pub(super) max_rows: usize,
    /// About this many bytes.
    pub(super) max_bytes: usize,
}

/// What was read of a range.
pub(super) struct Read {
    /// The rows, maybe none.
    pub(super) rows: Rows,
    /// The last row looked at; `None` when there was none.
    pub(super) last: Option<Vec<Cell>>,
    /// True when the range has no more rows.
    pub(super) is_end: bool,
}

/// Reads rows of `version`'s columns from the table as it is called now (`physical`), leaving out those that `skip` names.
pub(super) fn read(
    connection: &Connection,
    version: &Version,
    physical: &Table,
    range: &Range<'_>,
    bad: &mut BadRows,
    skip: impl Fn(&RowId) -> bool,
) -> Result<Read> {
    let doing = || format!("cannot read table {}", physical.name);
    let columns = version.table.columns.len();
    let order = Order::of(physical);
    let sql = order.select(physical, columns, range);
    let parameters = range.after.into_iter().chain(range.to).flatten();
    let mut statement = connection.prepare_cached(&sql).map_err(|e| failed(doing(), e))?;
    let mut found = statement.query(params_from_iter(parameters)).map_err(|e| failed(doing(), e))?;
    let mut read =
        Read { rows: Rows::new(version.relation.columns().clone(), &version.layout), last: None, is_end: false };
    let mut count = 0;
    fail::fail_point!("snap.select");
    while let Some(row) = found.next().map_err(|e| failed(doing(), e))? {
        count += 1;
        let cell = |i: usize| row.get_ref(order.len() + i).unwrap_or(ValueRef::Null);
        if !skip(&order.row_id(row)) {
            match version.layout.misfit(cell) {
                None => read.rows.push(cell),
                Some(_) => bad.reject(refused(version, order.place(physical, row), cell))?,
            }
        }
        if count == range.max_rows || read.rows.bytes() >= range.max_bytes {
            fail::fail_point!("snap.mid_rows");
            read.last = Some(order.keep(row)?);
            return Ok(read);
        }
    }
    read.is_end = true;
    Ok(read)
}

/// The rows as a batch: of inserts, or of updates when they are read again. `None` without rows.
pub(super) fn batch(version: &Version, rows: Rows, phase: Phase) -> Result<Option<Batch>> {
    let count = rows.len();
    if count == 0 {
        return Ok(None);
    }
    let relation = version.relation.clone();
    let rows = rows.finish()?;
    Ok(Some(match phase {
        Phase::Upsert => Batch::changes(relation, rows, UInt8Array::from(vec![Op::UpdateAfter as u8; count]))?,
        _ => Batch::inserts(relation, rows)?,
    }))
}

/// The columns by which a table is read in order, as SQL: name, and collation where the index has its own.
struct Order {
    columns: Vec<String>,
    is_rowid: bool,
}

impl Order {
    fn of(table: &Table) -> Self {
        match &table.identity {
            Identity::Rowid { name, .. } => Self { columns: vec![quote(name)], is_rowid: true },
            Identity::Key(parts) => Self {
                columns: parts
                    .iter()
                    .map(|part| {
                        format!("{} COLLATE {}", quote(&table.columns[part.column].name), quote(&part.collation))
                    })
                    .collect(),
                is_rowid: false,
            },
        }
    }

    fn len(&self) -> usize {
        self.columns.len()
    }

    fn select(&self, table: &Table, columns: usize, range: &Range<'_>) -> String {
        let order = self.columns.join(",");
        let cells: String =
            table.columns.iter().take(columns).map(|column| format!(",{}", quote(&column.name))).collect();
        let mut conditions = Vec::new();
        let mut bound = |bound: Option<&[Cell]>, sign: &str, first: usize| {
            if bound.is_some() {
                let marks: Vec<String> = (0..self.len()).map(|i| format!("?{}", first + i + 1)).collect();
                conditions.push(format!("({order}) {sign} ({})", marks.join(",")));
            }
        };
        bound(range.after, ">", 0);
        bound(range.to, "<=", range.after.map_or(0, <[Cell]>::len));
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        format!(
            "SELECT {order}{cells} FROM {}{condition} ORDER BY {order} LIMIT {}",
            quote(&table.name),
            range.max_rows
        )
    }

    fn row_id(&self, row: &Row<'_>) -> RowId {
        let place = || (0..self.len()).map(|i| row.get_ref(i).unwrap_or(ValueRef::Null));
        match row.get_ref(0) {
            Ok(ValueRef::Integer(rid)) if self.is_rowid => RowId::Number(rid),
            _ => RowId::Key(key_bytes(place())),
        }
    }

    fn keep(&self, row: &Row<'_>) -> Result<Vec<Cell>> {
        (0..self.len()).map(|i| Cell::keep(row.get_ref(i).unwrap_or(ValueRef::Null))).collect()
    }

    fn place(&self, table: &Table, row: &Row<'_>) -> String {
        match row.get_ref(0) {
            Ok(ValueRef::Integer(rid)) if self.is_rowid => format!("row {rid} of {}", table.name),
            _ => format!("a row of {}", table.name),
        }
    }
}
