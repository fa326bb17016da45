//! The statements that write and read rows of one table.

use aqueduct_model::Result;
use arrow::datatypes::{DataType, FieldRef};

use super::literal::push;
use crate::sql_target::cells::{Cells, Kind, kind};
use crate::sql_target::{CURRENT_COLUMN, Dialect, Table, TargetColumn, quote_ident};

const DIALECT: Dialect = Dialect::MySql;

/// One column of a table that is written.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its quoted name.
    pub name: String,
    pub kind: Kind,
    /// Its column in the target is JSON, as MySQL keeps it.
    json: bool,
}

/// The columns of a table, in its order.
pub(super) fn columns(table: &Table) -> Result<Vec<Column>> {
    let column = |(field, target): (&FieldRef, &TargetColumn)| {
        let json = target.sql.eq_ignore_ascii_case("json");
        Ok(Column { name: quote_ident(DIALECT, &target.name)?, kind: kind(field.data_type()), json })
    };
    table.columns.fields().iter().zip(&table.target).map(column).collect()
}

/// An insert of some rows, all but the rows themselves.
pub(super) struct Insert {
    head: String,
    tail: String,
}

impl Insert {
    /// Inserts rows; with `updates`, rows of the same key are updated.
    pub fn new(table: &Table, columns: &[Column], updates: bool) -> Result<Self> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let head = format!("INSERT INTO {} ({}) VALUES ", quote_ident(DIALECT, &table.name)?, names.join(", "));
        let mut tail = String::new();
        if updates {
            // A table of nothing but its key: something has to be set, and this changes nothing.
            let all = table.key.len() == columns.len();
            let sets: Vec<String> = (0..columns.len())
                .filter(|place| all || !table.key.contains(place))
                .map(|place| format!("{name} = VALUES({name})", name = columns[place].name))
                .collect();
            tail = format!(" ON DUPLICATE KEY UPDATE {}", sets.join(", "));
        }
        Ok(Self { head, tail })
    }

    /// The statement for these rows.
    pub fn of(&self, columns: &[Column], cells: &[Cells], rows: &[usize]) -> String {
        let mut sql = String::with_capacity(self.head.len() + self.tail.len() + rows.len() * columns.len() * 16);
        sql.push_str(&self.head);
        for (i, &row) in rows.iter().enumerate() {
            sql.push_str(if i == 0 { "(" } else { ",(" });
            for (place, (column, cells)) in columns.iter().zip(cells).enumerate() {
                if place > 0 {
                    sql.push(',');
                }
                push(cells, column.kind, row, &mut sql);
            }
            sql.push(')');
        }
        sql.push_str(&self.tail);
        sql
    }
}

/// The keys of some rows, as a condition: `k IN (…)`, or one comparison per row for a key of several columns, which
/// both servers look up in the index. `cells` has the key columns in key order.
pub(super) fn keys_condition(table: &Table, columns: &[Column], cells: &[Cells], rows: &[usize]) -> String {
    let mut sql = String::with_capacity(rows.len() * 24);
    if let ([place], [cells]) = (table.key.as_slice(), cells) {
        let column = &columns[*place];
        sql.push_str(&column.name);
        sql.push_str(" IN (");
        for (i, &row) in rows.iter().enumerate() {
            if i > 0 {
                sql.push(',');
            }
            push(cells, column.kind, row, &mut sql);
        }
        sql.push(')');
        return sql;
    }
    for (i, &row) in rows.iter().enumerate() {
        sql.push_str(if i == 0 { "(" } else { " OR (" });
        push_key(table, columns, cells, row, &mut sql);
        sql.push(')');
    }
    sql
}

fn push_key(table: &Table, columns: &[Column], cells: &[Cells], row: usize, sql: &mut String) {
    for (i, (&place, cells)) in table.key.iter().zip(cells).enumerate() {
        if i > 0 {
            sql.push_str(" AND ");
        }
        sql.push_str(&columns[place].name);
        sql.push_str(" = ");
        push(cells, columns[place].kind, row, sql);
    }
}

/// Removes the rows with some keys, or marks them as gone.
pub(super) fn delete(table: &Table, condition: &str, moment: i64) -> Result<String> {
    let name = quote_ident(DIALECT, &table.name)?;
    Ok(match table.delete_sets(DIALECT, moment)? {
        Some(sets) if table.keeps_versions() => {
            let current = quote_ident(DIALECT, CURRENT_COLUMN)?;
            format!("UPDATE {name} SET {sets} WHERE ({condition}) AND {current}")
        }
        Some(sets) => format!("UPDATE {name} SET {sets} WHERE {condition}"),
        None => format!("DELETE FROM {name} WHERE {condition}"),
    })
}

/// Removes that many rows that are equal to one, byte by byte: a collation would take others for equal.
pub(super) fn delete_equal(
    table: &Table,
    columns: &[Column],
    cells: &[Cells],
    row: usize,
    count: u32,
) -> Result<String> {
    let mut sql = format!("DELETE FROM {} WHERE ", quote_ident(DIALECT, &table.name)?);
    for (i, (column, cells)) in columns.iter().zip(cells).enumerate() {
        if i > 0 {
            sql.push_str(" AND ");
        }
        let name = &column.name;
        let (left, before, after) = match column.kind {
            _ if cells.is_null(row) => (name.clone(), "", ""),
            Kind::Text if column.json => (name.clone(), "CAST(", " AS JSON)"),
            Kind::Text => (format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)"), "CAST(", " AS BINARY)"),
            _ => (name.clone(), "", ""),
        };
        sql.push_str(&left);
        sql.push_str(" <=> ");
        sql.push_str(before);
        push(cells, column.kind, row, &mut sql);
        sql.push_str(after);
    }
    sql.push_str(&format!(" LIMIT {count}"));
    Ok(sql)
}

/// Updates one row by its key.
pub(super) fn update(table: &Table, columns: &[Column], cells: &[Cells], row: usize) -> Result<String> {
    let mut sql = format!("UPDATE {} SET ", quote_ident(DIALECT, &table.name)?);
    let mut first = true;
    let all = table.key.len() == columns.len();
    for place in (0..columns.len()).filter(|place| all || !table.key.contains(place)) {
        if !first {
            sql.push_str(", ");
        }
        first = false;
        sql.push_str(&columns[place].name);
        sql.push_str(" = ");
        push(&cells[place], columns[place].kind, row, &mut sql);
    }
    sql.push_str(" WHERE ");
    let key: Vec<Cells> = table.key.iter().map(|&place| cells[place].clone()).collect();
    push_key(table, columns, &key, row, &mut sql);
    Ok(sql)
}

/// A stored cell as it is read back: floats with all their digits, bits as numbers.
pub(super) fn read(name: &str, data_type: &DataType) -> String {
    match kind(data_type) {
        Kind::Float32 | Kind::Float64 => format!("{name} + 0e0"),
        Kind::Bool | Kind::Int | Kind::UInt64 => format!("{name} + 0"),
        _ => name.to_owned(),
    }
}

/// Finds rows by key: the number of the key, then the columns of the relation. One SELECT per key, so that each key is
/// compared as its column is, and is known for the one that was asked for.
pub(super) fn lookup(
    table: &Table,
    columns: &[Column],
    cells: &[Cells],
    rows: std::ops::Range<usize>,
) -> Result<String> {
    let fields = table.data_columns();
    let read: Vec<String> =
        fields.fields().iter().zip(columns).map(|(field, column)| read(&column.name, field.data_type())).collect();
    let from = format!(", {} FROM {} WHERE ", read.join(", "), quote_ident(DIALECT, &table.name)?);
    let current = match table.keeps_versions() {
        true => format!(" AND {}", quote_ident(DIALECT, CURRENT_COLUMN)?),
        false => String::new(),
    };
    let mut sql = String::new();
    for row in rows.clone() {
        sql.push_str(if row == rows.start { "(SELECT " } else { " UNION ALL (SELECT " });
        sql.push_str(&row.to_string());
        sql.push_str(&from);
        push_key(table, columns, cells, row, &mut sql);
        sql.push_str(&current);
        sql.push(')');
    }
    Ok(sql)
}
