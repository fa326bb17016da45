//! Where a capture stands: the next change of the log, and how far each table's snapshot has come.

use std::collections::BTreeMap;

use aqueduct_model::{Error, ErrorKind, Position, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use serde::{Deserialize, Serialize};

/// The position of a capture. It has one split, `""`, whose offset this is as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Identity of the change log; another one means another database or a log that was made anew.
    pub(super) log: String,
    /// The next change to read.
    pub(super) seq: i64,
    /// `PRAGMA schema_version` when this position was reached.
    pub(super) cookie: i64,
    /// The captured tables of this flow, by their number in the log.
    pub(super) tables: BTreeMap<i64, TableState>,
}

/// How far one table has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableState {
    /// The version of its columns that was announced last.
    pub(super) version: u32,
    /// How often its snapshot was started over for reasons that are not in the log.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) run: u32,
    /// What is happening to it.
    pub(super) phase: Phase,
    /// Its rows are to be read again as updates once the snapshot is done: it gained columns half way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) again: bool,
    /// The last row of the snapshot so far: its row number, or its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Vec<Cell>>,
}

impl TableState {
    /// A table of which nothing was read.
    pub(super) fn new(version: u32, phase: Phase) -> Self {
        Self { version, run: 0, phase, again: false, after: None }
    }

    /// Goes on to what follows the phase that was read to its end.
    pub(super) fn next_phase(&mut self) {
        let again = std::mem::take(&mut self.again) && self.phase == Phase::Snapshot;
        (self.phase, self.after) = (if again { Phase::Upsert } else { Phase::Done }, None);
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What is happening to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Its rows are read for the first time: changes beyond the last row read are left to a later chunk.
    Snapshot,
    /// Its rows are read again and given as updates, while every change is given too.
    Upsert,
    /// All changes are given.
    Done,
}

impl State {
    /// The position of a capture that stands here.
    pub(super) fn position(&self) -> Position {
        let offset = serde_json::to_value(self).expect("a position is plain data with string keys");
        Position::single("", offset)
    }

    /// Reads a position back.
    ///
    /// # Errors
    /// `State` when it was not made by a capture of SQLite.
    pub(super) fn parse(position: &Position) -> Result<Self> {
        let offset = position.offset("").ok_or_else(|| foreign("it has no split \"\""))?;
        serde_json::from_value(offset.clone()).map_err(|e| foreign("it is not understood").with_source(e))
    }

    /// The first table whose rows are still being read.
    pub(super) fn unfinished(&self) -> Option<i64> {
        self.tables.iter().find(|(_, table)| table.phase != Phase::Done).map(|(&id, _)| id)
    }
}

fn foreign(why: &str) -> Error {
    Error::new(ErrorKind::State, format!("the recorded position is not one of an SQLite capture: {why}"))
        .with_hint("`aqueduct checkpoint reset` starts the flow anew")
}

/// A key value that survives JSON exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::sqlite) enum Cell {
    /// An integer.
    Integer(i64),
    /// A text.
    Text(String),
    /// A double, as the sixteen hexadecimal digits of its bits: decimal digits may be rounded on the way.
    Real {
        /// The digits.
        real: String,
    },
    /// A blob, in base64.
    Blob {
        /// The text.
        blob: String,
    },
    /// Null: only in keys of tables that allow it.
    Null(()),
}

impl Cell {
    /// Keeps a cell.
    pub(in crate::sqlite) fn keep(value: ValueRef<'_>) -> Result<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null(()),
            ValueRef::Integer(i) => Self::Integer(i),
            ValueRef::Real(real) => Self::Real { real: format!("{:016x}", real.to_bits()) },
            ValueRef::Text(text) => Self::Text(
                std::str::from_utf8(text)
                    .map_err(|e| Error::new(ErrorKind::Data, "a key holds text that is not UTF-8").with_source(e))?
                    .to_owned(),
            ),
            ValueRef::Blob(blob) => Self::Blob { blob: STANDARD.encode(blob) },
        })
    }

    /// The integer, where it is one.
    pub(in crate::sqlite) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(i) => Some(*i),
            _ => None,
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let broken = |e| rusqlite::Error::ToSqlConversionFailure(e);
        Ok(match self {
            Self::Null(()) => ToSqlOutput::Owned(Value::Null),
            Self::Integer(i) => ToSqlOutput::Owned(Value::Integer(*i)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Real { real } => ToSqlOutput::Owned(Value::Real(f64::from_bits(
                u64::from_str_radix(real, 16).map_err(|e| broken(Box::new(e)))?,
            ))),
            Self::Blob { blob } => {
                ToSqlOutput::Owned(Value::Blob(STANDARD.decode(blob).map_err(|e| broken(Box::new(e)))?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_json_exactly() {
        let cells = vec![
            Cell::keep(ValueRef::Integer(i64::MIN)).unwrap(),
            Cell::keep(ValueRef::Real(0.1 + 0.2)).unwrap(),
            Cell::keep(ValueRef::Text("é\"\u{0}".as_bytes())).unwrap(),
            Cell::keep(ValueRef::Blob(&[0, 255])).unwrap(),
            Cell::keep(ValueRef::Null).unwrap(),
        ];
        let table = TableState { version: 3, run: 1, phase: Phase::Snapshot, again: true, after: Some(cells) };
        let state = State { log: "x".into(), seq: i64::MAX, cookie: 9, tables: BTreeMap::from([(2, table)]) };
        let text = serde_json::to_string(&state.position()).unwrap();
        let back: Position = serde_json::from_str(&text).unwrap();
        assert_eq!(State::parse(&back).unwrap(), state);
        assert_eq!(back, state.position());
    }

    #[test]
    fn a_foreign_position_is_refused() {
        let error = State::parse(&Position::single("", serde_json::json!({ "lsn": 5 }))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
    }
}
