//! Types of columns that a test does not name, from the values that it gives.
//!
//! Whole numbers are `int64`; numbers of which one has a fraction `float64`; true and false `boolean`; everything else,
//! dates too, `string`. A column that is NULL everywhere is `string`. Values of two kinds are `string` only if one of
//! them is text.

use arrow::datatypes::{DataType, Field};

use super::rows::{CellKind, Row};

/// The columns of rows in the order in which they are first named.
pub(super) fn columns(rows: &[Row]) -> Vec<Field> {
    let mut kinds: Vec<(String, CellKind)> = Vec::new();
    for (name, cell) in rows.iter().flat_map(|row| &row.cells) {
        match kinds.iter_mut().find(|(known, _)| known == name) {
            Some((_, kind)) => *kind = both(*kind, cell.kind),
            None => kinds.push((name.clone(), cell.kind)),
        }
    }
    let inferred = kinds.into_iter().map(|(name, kind)| {
        let data_type = match kind {
            CellKind::Flag => DataType::Boolean,
            CellKind::Whole => DataType::Int64,
            CellKind::Number => DataType::Float64,
            CellKind::Text | CellKind::Null => DataType::Utf8,
        };
        Field::new(name, data_type, true)
    });
    inferred.collect()
}

fn both(one: CellKind, other: CellKind) -> CellKind {
    match (one, other) {
        _ if one == other => one,
        (CellKind::Null, kind) | (kind, CellKind::Null) => kind,
        (CellKind::Whole, CellKind::Number) | (CellKind::Number, CellKind::Whole) => CellKind::Number,
        _ => CellKind::Text,
    }
}
