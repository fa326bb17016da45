//! Rows of events, straight into Arrow.

use std::fmt::Display;

use aqueduct_model::{Error, ErrorKind, Op, Relation, Result};

use super::builders::RowBuilders;
use super::bytes::{Bytes, Decoded, Malformed, bit};
use super::cell::Trouble;
use super::convert::{Column, skip};
use super::missing::Missing;
use super::rows_event::{RowsEvent, RowsKind};
use super::shape;
use super::table_map::TableMap;
use crate::mysql::rows::ZeroDates;

/// Decodes rows of one table, as one TABLE_MAP event lays them out, into rows of its relation.
#[derive(Debug)]
pub(crate) struct RowDecoder {
    /// The relation's name, for people.
    table: String,
    columns: Vec<Column>,
    /// The columns' names, for people.
    names: Vec<String>,
    /// The relation's key.
    key: Vec<usize>,
    /// The body of the table map, without the table's number, which changes.
    layout: Vec<u8>,
}

/// Bytes of a TABLE_MAP's body that say nothing about the layout.
const TABLE_ID_BYTES: usize = 6;

/// The first bad cell of a row.
type Bad = Option<(usize, &'static str)>;

/// A cell of an image that may lack some.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell<'a> {
    Absent,
    Null,
    /// The value's bytes.
    At(&'a [u8]),
}

impl RowDecoder {
    /// A decoder for a table that a TABLE_MAP event with this body lays out.
    ///
    /// # Errors
    /// `Schema` when the relation's columns are not those of the table; `Data`.
    pub fn new(relation: &Relation, table_map: &[u8], zero_dates: ZeroDates) -> Result<Self> {
        let map = TableMap::parse(table_map)?;
        let columns = shape::columns(relation, &map, zero_dates)?;
        let layout = table_map.get(TABLE_ID_BYTES..).unwrap_or_default().to_vec();
        let names = relation.columns().fields().iter().map(|field| field.name().clone()).collect();
        Ok(Self { table: relation.name().to_string(), columns, names, key: relation.key().to_vec(), layout })
    }

    /// True when another TABLE_MAP event lays the table out in the same way, so that this decoder serves its rows.
    pub fn fits(&self, table_map: &[u8]) -> bool {
        table_map.get(TABLE_ID_BYTES..).is_some_and(|layout| layout == self.layout)
    }

    /// Appends the rows of an event; `position` names it to a person (`binlog.000003:1234`) where a row is bad. Returns
    /// how many rows were appended, both halves of an update counted.
    ///
    /// Whole rows give pairs of old and new. Where the log lacks columns (`binlog_row_image`), an inserted row gets their
    /// defaults, and elsewhere they are absent; an update is the new row alone then, unless its key changed or there is no key to find it by.
    ///
    /// # Errors
    /// `Data` when the event cannot be read, or lacks a column whose default is not known; `Config` for changes inside JSON documents (`binlog_row_value_options`).
    /// The builders are of no use then.
    pub fn decode(&self, event: &RowsEvent<'_>, into: &mut RowBuilders, position: &dyn Display) -> Result<usize> {
        if event.columns != self.columns.len() || into.columns.len() != self.columns.len() {
            return Err(Malformed("rows have another number of columns than their table").into());
        }
        let rows_before = into.rows();
        let mut bytes = Bytes(&event.rows);
        if self.columns.is_empty() && !bytes.is_empty() {
            return Err(Malformed("a table without columns has rows").into());
        }
        let is_whole = |bitmap: &[u8]| (0..self.columns.len()).all(|i| bit(bitmap, i));
        let all_whole = match event.kind {
            RowsKind::Insert => is_whole(event.after),
            RowsKind::Delete => is_whole(event.before),
            RowsKind::Update => is_whole(event.before) && is_whole(event.after),
            RowsKind::PartialUpdate => false,
        };
        if all_whole {
            while !bytes.is_empty() {
                self.decode_whole(event.kind, &mut bytes, into, position)?;
            }
        } else {
            let mut images = (Vec::new(), Vec::new());
            while !bytes.is_empty() {
                let left = bytes.len();
                self.decode_partial(event, &mut bytes, &mut images, into, position)?;
                if bytes.len() == left {
                    return Err(Malformed("a row without any column has bytes behind it").into());
                }
            }
        }
        Ok(into.rows() - rows_before)
    }

    /// One row, or both halves of an update, with all columns.
    fn decode_whole(
        &self,
        kind: RowsKind,
        bytes: &mut Bytes<'_>,
        into: &mut RowBuilders,
        position: &dyn Display,
    ) -> Result<()> {
        let (first, second) = match kind {
            RowsKind::Insert => (Op::Insert, None),
            RowsKind::Delete => (Op::Delete, None),
            RowsKind::Update | RowsKind::PartialUpdate => (Op::UpdateBefore, Some(Op::UpdateAfter)),
        };
        let mut bad = self.append_whole(bytes, into)?;
        into.push_op(first);
        if let Some(second) = second {
            let bad_after = self.append_whole(bytes, into)?;
            into.push_op(second);
            bad = bad.or(bad_after);
        }
        if let Some((column, reason)) = bad {
            into.refuse(1 + usize::from(second.is_some()), column, reason, position.to_string());
        }
        Ok(())
    }

    fn append_whole(&self, bytes: &mut Bytes<'_>, into: &mut RowBuilders) -> Result<Bad> {
        let nulls = bytes.take(self.columns.len().div_ceil(8))?;
        let mut bad = None;
        for (i, (column, builder)) in self.columns.iter().zip(&mut into.columns).enumerate() {
            let appended = if bit(nulls, i) {
                column.append_null(builder)
            } else {
                column.append(bytes, builder, &mut into.scratch)
            };
            match appended {
                Ok(()) => {}
                Err(Trouble::Malformed(malformed)) => return Err(malformed.into()),
                Err(Trouble::Bad(reason)) => {
                    builder.append_nothing(column.nullable);
                    bad = bad.or(Some((i, reason)));
                }
            }
        }
        Ok(bad)
    }

    /// One row whose image lacks columns.
    fn decode_partial<'a>(
        &self,
        event: &RowsEvent<'_>,
        bytes: &mut Bytes<'a>,
        (before, after): &mut (Vec<Cell<'a>>, Vec<Cell<'a>>),
        into: &mut RowBuilders,
        position: &dyn Display,
    ) -> Result<()> {
        if event.kind != RowsKind::Insert {
            self.scan(event.before, bytes, before)?;
        }
        if event.kind == RowsKind::PartialUpdate {
            self.refuse_json_changes(bytes)?;
        }
        if event.kind != RowsKind::Delete {
            self.scan(event.after, bytes, after)?;
        }
        let (bad, rows) = match event.kind {
            RowsKind::Insert => (self.append_inserted(after, into)?, 1),
            RowsKind::Delete => (self.append_cells(before, Op::Delete, into)?, 1),
            RowsKind::Update | RowsKind::PartialUpdate => {
                for (new, old) in after.iter_mut().zip(before.iter()) {
                    // What was not sent did not change.
                    if *new == Cell::Absent {
                        *new = *old;
                    }
                }
                let has_old_row = !before.contains(&Cell::Absent);
                let finds_row = !self.key.is_empty()
                    && self.key.iter().all(|&i| before[i] != Cell::Absent && before[i] == after[i]);
                let bad_before =
                    if has_old_row || !finds_row { self.append_cells(before, Op::UpdateBefore, into)? } else { None };
                let bad_after = self.append_cells(after, Op::UpdateAfter, into)?;
                (bad_before.or(bad_after), if has_old_row || !finds_row { 2 } else { 1 })
            }
        };
        if let Some((column, reason)) = bad {
            into.refuse(rows, column, reason, position.to_string());
        }
        Ok(())
    }

    /// Finds the cells of an image. NULL bits are there only for columns that are.
    fn scan<'a>(&self, bitmap: &[u8], bytes: &mut Bytes<'a>, cells: &mut Vec<Cell<'a>>) -> Decoded<()> {
        let present = (0..self.columns.len()).filter(|&i| bit(bitmap, i)).count();
        let nulls = bytes.take(present.div_ceil(8))?;
        cells.clear();
        let mut number = 0;
        for (i, column) in self.columns.iter().enumerate() {
            if !bit(bitmap, i) {
                cells.push(Cell::Absent);
                continue;
            }
            if bit(nulls, number) {
                cells.push(Cell::Null);
            } else {
                let start = bytes.0;
                skip(column.packing, bytes)?;
                cells.push(Cell::At(&start[..start.len() - bytes.len()]));
            }
            number += 1;
        }
        Ok(())
    }

    /// An inserted row is whole whatever the log leaves out of it: what is absent is the column's default.
    fn append_inserted(&self, cells: &[Cell<'_>], into: &mut RowBuilders) -> Result<Bad> {
        let unknown =
            |(column, cell): (&Column, &Cell<'_>)| *cell == Cell::Absent && column.missing == Missing::Unknown;
        if let Some(i) = self.columns.iter().zip(cells).position(unknown) {
            return Err(self.left_out(i));
        }
        self.append_cells(cells, Op::Insert, into)
    }

    fn left_out(&self, column: usize) -> Error {
        let name = self.names.get(column).map_or("", String::as_str);
        Error::new(
            ErrorKind::Data,
            format!(
                "the binary log has an inserted row of {} without column {name}, whose default is not a constant",
                self.table
            ),
        )
        .with_setting("binlog_row_image")
        .with_hint(
            "SET GLOBAL binlog_row_image='FULL'; (binlog_row_image = FULL in the [mysqld] section of my.cnf) and end the \
             connections that were made before; then reset the flow, so that the row is read again",
        )
    }

    fn append_cells(&self, cells: &[Cell<'_>], op: Op, into: &mut RowBuilders) -> Result<Bad> {
        let mut bad = None;
        for (i, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            let appended = match cell {
                Cell::Absent if op == Op::Insert => column.missing.append(&mut into.columns[i]),
                Cell::Absent => {
                    into.append_absent(i, column.nullable);
                    Ok(())
                }
                Cell::Null => column.append_null(&mut into.columns[i]),
                Cell::At(value) => column.append(&mut Bytes(value), &mut into.columns[i], &mut into.scratch),
            };
            match appended {
                Ok(()) => {}
                Err(Trouble::Malformed(malformed)) => return Err(malformed.into()),
                Err(Trouble::Bad(reason)) => {
                    into.columns[i].append_nothing(column.nullable);
                    bad = bad.or(Some((i, reason)));
                }
            }
        }
        into.push_op(op);
        Ok(bad)
    }

    /// Reads what stands before the new image of a partial update: options, and a bit per JSON column that holds changes
    /// and not a document.
    fn refuse_json_changes(&self, bytes: &mut Bytes<'_>) -> Result<()> {
        const PARTIAL_JSON: u64 = 1;
        if bytes.packed()? & PARTIAL_JSON == 0 {
            return Ok(());
        }
        let documents = self.columns.iter().filter(|column| column.is_json()).count();
        if bytes.take(documents.div_ceil(8))?.iter().all(|&bits| bits == 0) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Config,
            "the binary log holds changes inside JSON documents instead of the documents",
        )
        .with_hint("SET PERSIST binlog_row_value_options = ''; then take a new snapshot of tables with JSON columns"))
    }
}
