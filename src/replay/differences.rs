//! What two flows make of the same input: the rows that only one of them has.

use std::collections::{BTreeMap, BTreeSet};

use crate::testing::Difference;
use crate::testing::table_state::{Table, Tables, Text};

/// The differences of all targets: `-` is what `before` makes, `+` what `after` makes.
pub(crate) fn differences(before: &BTreeMap<String, Tables>, after: &BTreeMap<String, Tables>) -> Vec<Difference> {
    let mut all = Vec::new();
    let sinks: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for sink in sinks {
        let empty = Tables::default();
        let (one, other) = (before.get(sink).unwrap_or(&empty), after.get(sink).unwrap_or(&empty));
        let names: BTreeSet<&String> = one.0.keys().chain(other.0.keys()).collect();
        for name in names {
            all.extend(of_table(&format!("{sink} · {name}"), one.0.get(name), other.0.get(name)));
        }
    }
    all
}

fn of_table(title: &str, before: Option<&Table>, after: Option<&Table>) -> Option<Difference> {
    let mut columns: Vec<String> = Vec::new();
    for column in before.into_iter().chain(after).flat_map(Table::columns) {
        if !columns.iter().any(|known| known == column) {
            columns.push(column.to_owned());
        }
    }
    let (old, new) = (counted(before, &columns), counted(after, &columns));
    let key = |table: &Table| -> Vec<usize> {
        let names = table.columns();
        table.key().iter().filter_map(|&i| columns.iter().position(|column| column == names[i])).collect()
    };
    let key = after.or(before).map(key).unwrap_or_default();
    let mut rows: Vec<(Vec<Cell>, char, Vec<Cell>)> = Vec::new();
    let mut only = |sign: char, these: &BTreeMap<Vec<Cell>, usize>, those: &BTreeMap<Vec<Cell>, usize>| {
        for (row, count) in these {
            for _ in those.get(row).copied().unwrap_or(0)..*count {
                rows.push((key.iter().map(|&i| row[i].clone()).collect(), sign, row.clone()));
            }
        }
    };
    only('-', &old, &new);
    only('+', &new, &old);
    if rows.is_empty() {
        return None;
    }
    // What belongs to one key stands together, the old row first.
    rows.sort_by(|a, b| (&a.0, a.1 == '+').cmp(&(&b.0, b.1 == '+')));
    let counts = (old.values().sum::<usize>(), new.values().sum::<usize>());
    let title = format!("{title}: {} rows before, {} after", counts.0, counts.1);
    let rows = rows.into_iter().map(|(_, sign, row)| (sign, row.into_iter().map(shown).collect())).collect();
    Some(Difference { title, columns, rows })
}

/// A value, or no such column.
type Cell = Option<Text>;

fn counted(table: Option<&Table>, columns: &[String]) -> BTreeMap<Vec<Cell>, usize> {
    let mut rows = BTreeMap::new();
    let Some(table) = table else { return rows };
    let names = table.columns();
    let places: Vec<Option<usize>> =
        columns.iter().map(|column| names.iter().position(|name| name == column)).collect();
    for row in table.rows() {
        let cells = places.iter().map(|place| place.map(|place| row[place].clone())).collect();
        *rows.entry(cells).or_insert(0) += 1;
    }
    rows
}

fn shown(cell: Cell) -> String {
    match cell {
        None => String::new(),
        Some(None) => "NULL".to_owned(),
        Some(Some(text)) => text,
    }
}
