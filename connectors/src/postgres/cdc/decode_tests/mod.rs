//! The decoders of the log, on messages that real servers sent, and on the line to real servers.

mod fuzz;
mod line;
mod recorded;

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Relation, Result};
use arrow::datatypes::Schema;

use super::pgoutput::{self, Message, OldRow};
use super::table_rows::{Layout, TableRows};
use crate::postgres::column_type::ColumnType;
use crate::postgres::copy::Unrepresentable;

/// Messages as a server sent them, with what they were read from; see `recorded/scenario.sql`.
const RECORDED: [(&str, &str); 2] =
    [("15", include_str!("recorded/postgres15.txt")), ("18", include_str!("recorded/postgres18.txt"))];

/// The messages of one slot.
fn messages<'a>(recorded: &'a str, slot: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    let lines = recorded.lines().filter_map(move |line| line.split_once('|').filter(|(of, _)| *of == slot));
    lines.map(|(_, hex)| {
        let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
        digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
    })
}

/// A decoder without a server: a table's shape is what its description in the log says, without domains.
#[derive(Default)]
struct Decoder {
    in_stream: bool,
    tables: BTreeMap<u32, TableRows>,
    /// The table of the last row.
    last: Option<u32>,
}

impl Decoder {
    /// Reads a message; rows are appended to their table.
    fn read(&mut self, message: &[u8]) -> Result<()> {
        match pgoutput::parse(message, self.in_stream)? {
            Message::StreamStart { .. } => self.in_stream = true,
            Message::StreamStop => self.in_stream = false,
            Message::Relation { relation, .. } => {
                self.tables
                    .insert(relation.oid, TableRows::new(shape(&relation)?, layout(&relation), Unrepresentable::Null)?);
            }
            Message::Insert { oid, new, .. } => {
                if let Some(rows) = self.rows(oid) {
                    rows.insert(&new)?;
                }
            }
            Message::Update { oid, old, new, .. } => {
                if let Some(rows) = self.rows(oid) {
                    match old {
                        None => rows.update(&new)?,
                        Some(OldRow::Key(old)) => rows.update_key(&old, &new)?,
                        Some(OldRow::Full(old)) => rows.update_full(&old, &new)?,
                    };
                }
            }
            Message::Delete { oid, old, .. } => {
                if let Some(rows) = self.rows(oid) {
                    match old {
                        OldRow::Key(old) => rows.delete_key(&old)?,
                        OldRow::Full(old) => rows.delete_full(&old)?,
                    };
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn rows(&mut self, oid: u32) -> Option<&mut TableRows> {
        self.last = Some(oid);
        self.tables.get_mut(&oid)
    }

    /// The rows since the last call.
    fn take(&mut self) -> Result<Option<Batch>> {
        match self.last.take().and_then(|oid| self.tables.get_mut(&oid)) {
            Some(rows) => rows.take(),
            None => Ok(None),
        }
    }
}

fn shape(relation: &pgoutput::Relation) -> Result<Arc<Relation>> {
    let fields = relation.columns.iter().zip(1i16..).map(|(column, number)| {
        let text = format!("type {}", column.type_oid);
        let column_type = ColumnType { text, base: column.type_oid, modifier: column.type_modifier };
        // Every column is "in the key" of a table whose old rows are whole.
        column_type.field(&column.name, number, column.in_key && !relation.is_full())
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let key: Vec<&str> =
        relation.columns.iter().filter(|column| column.in_key).map(|column| column.name.as_str()).collect();
    let key = if relation.is_full() { Vec::new() } else { key };
    Ok(Arc::new(Relation::new(relation.table_name(), schema, &key, 1)?))
}

fn layout(relation: &pgoutput::Relation) -> Layout {
    Layout {
        places: (0..relation.columns.len()).map(Some).collect(),
        in_key: relation.columns.iter().map(|column| column.in_key).collect(),
    }
}
