//! A target that believes nothing: it keeps tables by applying what the source gives, and panics at whatever does not
//! follow from what was given before.

use std::collections::BTreeMap;

use aqueduct_model::{Batch, Change, Op, Polled, SchemaChange};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use rusqlite::types::ValueRef;

use super::Shop;
use crate::sqlite::connection::quote;

/// A row: the text of each column by name.
type Row = BTreeMap<String, String>;

#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::sqlite::cdc) struct Table {
    key: Vec<String>,
    columns: Vec<String>,
    /// Rows without a key are counted.
    rows: BTreeMap<Vec<String>, (Row, usize)>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::sqlite::cdc) struct Fold {
    pub(in crate::sqlite::cdc) tables: BTreeMap<String, Table>,
    /// What came, one letter per row or word per change.
    pub(in crate::sqlite::cdc) log: Vec<String>,
}

impl Fold {
    pub(in crate::sqlite::cdc) fn apply(&mut self, given: &Polled) {
        match given {
            Polled::Batch(batch) => self.batch(batch),
            Polled::Schema(change) => self.schema(change),
            Polled::Idle | Polled::Finished => {}
        }
    }

    fn batch(&mut self, batch: &Batch) {
        let name = batch.relation().name().to_string();
        let mut letters = format!("{name}:");
        let table = self.tables.get_mut(&name).unwrap_or_else(|| panic!("{name} was not announced"));
        for i in 0..batch.num_rows() {
            let op = batch.op(i);
            letters.push(['I', 'B', 'A', 'D'][op as usize]);
            let row = row(batch, i);
            let is_paired = op == Op::UpdateAfter && i > 0 && batch.op(i - 1) == Op::UpdateBefore;
            match op {
                Op::Insert => table.add(row, false),
                Op::UpdateAfter => table.add(row, !is_paired),
                Op::UpdateBefore | Op::Delete => table.remove(&row, batch.has_absent()),
            }
        }
        self.log.push(letters);
    }

    fn schema(&mut self, change: &SchemaChange) {
        let relation = &change.relation;
        let name = relation.name().to_string();
        let mut word = format!("{name}:{:?}", change.change);
        match &change.change {
            Change::CreateTable => drop(self.tables.entry(name.clone()).or_default()),
            Change::RenameTable { from } => {
                word = format!("{name}:RenameTable({from})");
                let table = self.tables.remove(&from.to_string()).expect("the renamed table is known");
                assert!(self.tables.insert(name.clone(), table).is_none(), "{name} is there already");
            }
            Change::DropTable => drop(self.tables.remove(&name).expect("the dropped table is known")),
            Change::Truncate => self.tables.get_mut(&name).expect("the emptied table is known").rows.clear(),
            Change::RenameColumn { from, to } => self.tables.get_mut(&name).unwrap().rename(from, to),
            _ => {}
        }
        if let Some(table) = self.tables.get_mut(&name) {
            table.columns = relation.columns().fields().iter().map(|field| field.name().clone()).collect();
            table.key = relation.key_names().iter().map(|&name| name.to_owned()).collect();
            table.reshape();
        }
        self.log.push(word);
    }

    /// True when this is the same as `other`, except that cells of new columns may be known here already: a replay sees
    /// them in rows that were read without them the first time.
    pub(in crate::sqlite::cdc) fn is_at_least(&self, other: &Self) -> bool {
        let same_row = |(a, n): &(Row, usize), (b, m): &(Row, usize)| {
            n == m && a.len() == b.len() && b.iter().all(|(column, cell)| cell == "null" || a.get(column) == Some(cell))
        };
        let same_table = |a: &Table, b: &Table| {
            (&a.key, &a.columns) == (&b.key, &b.columns)
                && a.rows.len() == b.rows.len()
                && a.rows.values().zip(b.rows.values()).all(|(a, b)| same_row(a, b))
        };
        self.tables.len() == other.tables.len()
            && self.tables.iter().zip(&other.tables).all(|((a, x), (b, y))| a == b && same_table(x, y))
    }

    /// The rows of a table as sorted text.
    pub(in crate::sqlite::cdc) fn rows(&self, table: &str) -> Vec<String> {
        let table = self.tables.get(table).unwrap_or_else(|| panic!("{table} was not announced"));
        let mut rows = Vec::new();
        for (row, count) in table.rows.values() {
            let cells: Vec<&str> = table.columns.iter().map(|column| row[column].as_str()).collect();
            rows.extend(std::iter::repeat_n(cells.join("|"), *count));
        }
        rows.sort();
        rows
    }

    /// Panics unless every table holds what the database holds now.
    pub(in crate::sqlite::cdc) fn assert_equals(&self, shop: &Shop) {
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' \
                     AND name NOT LIKE '~_aqueduct%' ESCAPE '~' ORDER BY name";
        let mut statement = shop.db.prepare(names).unwrap();
        let names: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(self.tables.keys().cloned().collect::<Vec<_>>(), names);
        for name in names {
            assert_eq!(self.rows(&name), stored(shop, &name), "table {name}; what came: {:?}", self.log);
        }
    }
}

impl Table {
    fn place(&self, row: &Row) -> Vec<String> {
        if self.key.is_empty() {
            return row.values().cloned().collect();
        }
        self.key.iter().map(|column| row[column].clone()).collect()
    }

    fn add(&mut self, row: Row, is_upsert: bool) {
        let place = self.place(&row);
        match self.rows.get_mut(&place) {
            Some((_, count)) if self.key.is_empty() => *count += 1,
            Some((known, _)) if is_upsert => *known = row,
            Some((known, _)) => panic!("{row:?} is added where {known:?} is"),
            None => drop(self.rows.insert(place, (row, 1))),
        }
    }

    fn remove(&mut self, row: &Row, has_absent: bool) {
        let place = self.place(row);
        let Some((known, count)) = self.rows.get_mut(&place) else {
            assert!(has_absent, "{row:?} is removed but was never there");
            return;
        };
        // A new column is null here until its rows are read again.
        let is_same = known.iter().all(|(column, cell)| cell == "null" || cell == &row[column]);
        assert!(has_absent || is_same, "{row:?} is removed where {known:?} is");
        *count -= 1;
        if *count == 0 {
            self.rows.remove(&place);
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        for (row, _) in self.rows.values_mut() {
            let cell = row.remove(from).expect("the renamed column is known");
            row.insert(to.to_owned(), cell);
        }
    }

    /// Fits the rows to the columns: new ones are null.
    fn reshape(&mut self) {
        let columns = self.columns.clone();
        for (mut row, count) in std::mem::take(&mut self.rows).into_values() {
            row.retain(|column, _| columns.contains(column));
            for column in &columns {
                row.entry(column.clone()).or_insert_with(|| "null".into());
            }
            let place = self.place(&row);
            self.rows.entry(place).or_insert((row, 0)).1 += count;
        }
    }
}

fn row(batch: &Batch, i: usize) -> Row {
    let fields = batch.relation().columns().fields();
    fields.iter().zip(batch.rows().columns()).map(|(field, column)| (field.name().clone(), cell(column, i))).collect()
}

fn cell(column: &dyn Array, i: usize) -> String {
    if column.is_null(i) {
        return "null".into();
    }
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(i).to_string(),
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(i)),
        DataType::Utf8 => column.as_string::<i32>().value(i).to_owned(),
        DataType::Binary => format!("{:?}", column.as_binary::<i32>().value(i)),
        other => panic!("a test needs {other}"),
    }
}

/// The rows of a table as the database has them, as sorted text.
pub(in crate::sqlite::cdc) fn stored(shop: &Shop, table: &str) -> Vec<String> {
    let mut statement = shop.db.prepare(&format!("SELECT * FROM {}", quote(table))).unwrap();
    let columns = statement.column_count();
    let mut found = statement.query([]).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = found.next().unwrap() {
        let cells: Vec<String> = (0..columns)
            .map(|i| match row.get_ref(i).unwrap() {
                ValueRef::Null => "null".into(),
                ValueRef::Integer(i) => i.to_string(),
                ValueRef::Real(real) => format!("{real:?}"),
                ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                ValueRef::Blob(blob) => format!("{blob:?}"),
            })
            .collect();
        rows.push(cells.join("|"));
    }
    rows.sort();
    rows
}
