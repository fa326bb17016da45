//! What came, compared with what was expected.

use std::fmt;

use arrow::datatypes::DataType;

use super::cell;
use super::expectation::{ExpectedChange, ExpectedState};
use super::recorder::Seen;
use super::rows::Row;
use super::sequence::{Happened, happened};
use super::table_state::{Table, Tables, Text};

/// At most this many rows of a difference are shown.
const SHOWN_MAX: usize = 40;

/// Rows of a place that are not as expected: `-` expected, `+` got.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    pub(crate) title: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<(char, Vec<String>)>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.title)?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let shown = &self.rows[..self.rows.len().min(SHOWN_MAX)];
        let width = |i: usize| {
            let cells = shown.iter().filter_map(|(_, cells)| cells.get(i)).map(|cell| cell.chars().count());
            cells.chain([self.columns[i].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut line = |sign: char, cells: &[String]| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            write!(f, "\n  {}", format!("{sign} {}", padded.collect::<Vec<_>>().join("  ")).trim_end())
        };
        line(' ', &self.columns)?;
        for (sign, cells) in shown {
            line(*sign, cells)?;
        }
        match self.rows.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "\n    … {more} more"),
        }
    }
}

/// A value for people.
pub(super) fn shown(text: &Text) -> String {
    text.clone().unwrap_or_else(|| "NULL".to_owned())
}

/// Compares the tables of a place.
pub(super) fn state(expected: &ExpectedState, tables: &Tables) -> Vec<Difference> {
    let label = &expected.at.label;
    let filled: Vec<&String> =
        tables.0.iter().filter(|(_, table)| !table.rows().is_empty()).map(|(name, _)| name).collect();
    let only = match filled[..] {
        [] => tables.0.keys().next(),
        [one] => Some(one),
        _ => None,
    };
    let mut differences = Vec::new();
    let mut named = Vec::new();
    for (name, rows) in &expected.tables {
        let found = match name {
            None if filled.len() > 1 => {
                let names = filled.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                let title = format!("{label}: there are several tables, so each must be named: {names}");
                return vec![Difference { title, columns: Vec::new(), rows: Vec::new() }];
            }
            None => only,
            Some(name) => tables.0.keys().find(|known| *known == name || known.ends_with(&format!(".{name}"))),
        };
        named.extend(found.cloned());
        let title = name.as_ref().map_or(label.clone(), |name| format!("{label} · {name}"));
        differences.extend(table(&title, rows, found.and_then(|found| tables.0.get(found))));
    }
    for name in filled.into_iter().filter(|name| !named.contains(name)) {
        differences.extend(table(&format!("{label} · {name}, which is not expected"), &[], tables.0.get(name)));
    }
    differences
}

/// Compares the rows of one table in the columns that are expected of any of them.
fn table(title: &str, expected: &[Row], found: Option<&Table>) -> Option<Difference> {
    let columns = compared_columns(expected, found);
    let found_rows = found.map(|table| project(table, &columns)).unwrap_or_default();
    let data_type = |column: &String| found.and_then(|table| table.data_type(column)).cloned();
    let types: Vec<Option<DataType>> = columns.iter().map(data_type).collect();
    let expected_row = |row: &Row| -> Vec<Text> {
        let value = |(column, data_type): (&String, &Option<DataType>)| {
            let text = row.cell(column).and_then(|cell| cell.text.clone());
            data_type.as_ref().map_or(text.clone(), |data_type| cell::expected(text, data_type))
        };
        columns.iter().zip(&types).map(value).collect()
    };
    let mut left: Vec<Vec<Text>> = found_rows;
    let count = left.len();
    let mut missing = Vec::new();
    for row in expected.iter().map(expected_row) {
        match left.iter().position(|found| *found == row) {
            Some(at) => drop(left.remove(at)),
            None => missing.push(row),
        }
    }
    if missing.is_empty() && left.is_empty() {
        return None;
    }
    let key: Vec<usize> = found
        .map(|table| {
            let names = table.columns();
            table.key().iter().filter_map(|&i| columns.iter().position(|column| column == names[i])).collect()
        })
        .unwrap_or_default();
    let unknown: Vec<&str> = columns
        .iter()
        .zip(&types)
        .filter(|(_, data_type)| data_type.is_none() && found.is_some())
        .map(|(column, _)| column.as_str())
        .collect();
    let hint = if unknown.is_empty() { String::new() } else { format!("; there is no column {}", unknown.join(", ")) };
    let title = format!("{title}: expected {} rows, got {count}{hint}", expected.len());
    Some(Difference { title, columns, rows: paired(missing, left, &key) })
}

/// What is expected and what came of one key stand under each other.
fn paired(missing: Vec<Vec<Text>>, mut left: Vec<Vec<Text>>, key: &[usize]) -> Vec<(char, Vec<String>)> {
    let cells = |row: &Vec<Text>| row.iter().map(shown).collect::<Vec<String>>();
    let mut rows = Vec::new();
    for row in &missing {
        rows.push(('-', cells(row)));
        let same_key = |found: &Vec<Text>| !key.is_empty() && key.iter().all(|&i| found[i] == row[i]);
        if let Some(at) = left.iter().position(same_key) {
            rows.push(('+', cells(&left.remove(at))));
        }
    }
    rows.extend(left.iter().map(|row| ('+', cells(row))));
    rows
}

/// The columns that expected rows name, in the order of the table; all of them where no row is expected.
fn compared_columns(expected: &[Row], found: Option<&Table>) -> Vec<String> {
    let known: Vec<String> =
        found.map(|table| table.columns().into_iter().map(str::to_owned).collect()).unwrap_or_default();
    let mut named: Vec<String> = Vec::new();
    for (name, _) in expected.iter().flat_map(|row| &row.cells) {
        if !named.contains(name) {
            named.push(name.clone());
        }
    }
    if named.is_empty() {
        return known;
    }
    let place = |name: &String| known.iter().position(|known| known == name).unwrap_or(usize::MAX);
    named.sort_by_key(place);
    named
}

fn project(table: &Table, columns: &[String]) -> Vec<Vec<Text>> {
    let names = table.columns();
    let places: Vec<Option<usize>> =
        columns.iter().map(|column| names.iter().position(|name| name == column)).collect();
    let row = |row: Vec<Text>| places.iter().map(|place| place.and_then(|place| row[place].clone())).collect();
    table.rows().into_iter().map(row).collect()
}

/// Compares the changes of a place one by one.
pub(super) fn changes(label: &str, expected: &[ExpectedChange], seen: &[Seen]) -> Option<Difference> {
    let found = happened(seen);
    let length = expected.len().max(found.len());
    let mut rows = Vec::new();
    for i in 0..length {
        let (one, other) = (expected.get(i), found.get(i));
        if one.zip(other).is_some_and(|(expected, found)| found.fits(expected)) {
            continue;
        }
        let number = (i + 1).to_string();
        let line = |(change, row): (String, String)| vec![number.clone(), change, row];
        rows.extend(one.map(|expected| ('-', line(Happened::show_expected(expected)))));
        rows.extend(other.map(|found| ('+', line(found.show()))));
    }
    let columns = ["#", "change", "row"].map(str::to_owned).to_vec();
    let title = format!("{label}: expected {} changes, got {}", expected.len(), found.len());
    (!rows.is_empty()).then_some(Difference { title, columns, rows })
}
