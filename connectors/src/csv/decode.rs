//! Records become columns; records with cells that cannot be read are left out.

use std::collections::BTreeMap;

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::filter;

use super::layout::Layout;
use super::records::Records;
use super::tables::Tables;
use crate::column_type::ColumnType;

/// The columns of a table's relation, all of the same length.
pub(super) struct Decoded {
    /// Without the refused records.
    pub(super) columns: Vec<ArrayRef>,
    /// Refused records by rising number, with all reasons.
    pub(super) refused: Vec<(usize, String)>,
}

/// Reads the selected columns of some records.
///
/// # Errors
/// `Bug` when a type was not checked.
pub(super) fn decode(layout: &Layout, tables: &Tables, records: Records<'_>) -> Result<Decoded> {
    let relation = &layout.table.relation;
    let mut columns = Vec::with_capacity(layout.places.len());
    let mut reasons: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (i, (&place, field)) in layout.places.iter().zip(relation.columns().fields()).enumerate() {
        let (column, unreadable) = tables.rules.column(records, place, field.data_type())?;
        if relation.key().contains(&i) && column.null_count() > unreadable.len() {
            for record in (0..column.len()).filter(|&record| column.is_null(record)) {
                if unreadable.binary_search(&record).is_err() {
                    reasons.entry(record).or_default().push(format!("key column {} is empty", field.name()));
                }
            }
        }
        if !unreadable.is_empty() {
            let given = tables.config.columns.0.iter().any(|(name, _)| name == field.name());
            let kind = ColumnType(field.data_type().clone());
            let advice = if given { "" } else { ", which was inferred; give its type in `columns`" };
            for record in unreadable {
                let reason = format!("column {} is not of type {kind}{advice}", field.name());
                reasons.entry(record).or_default().push(reason);
            }
        }
        columns.push(column);
    }
    if reasons.is_empty() {
        return Ok(Decoded { columns, refused: Vec::new() });
    }
    let keep: BooleanArray = (0..records.len()).map(|record| Some(!reasons.contains_key(&record))).collect();
    let mut kept = Vec::with_capacity(columns.len());
    for column in columns {
        kept.push(filter(&column, &keep).map_err(|error| Error::bug("cannot leave out bad rows").with_source(error))?);
    }
    let refused = reasons.into_iter().map(|(record, reasons)| (record, reasons.join("; "))).collect();
    Ok(Decoded { columns: kept, refused })
}
