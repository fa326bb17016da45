//! Records become columns; records with cells that cannot be read are left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Error, Relation, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter;

use super::column_type::ColumnType;
use super::parse::CellRules;
use super::records::Records;

/// The columns of a table's relation, all of the same length.
pub(crate) struct Decoded {
    /// Without the refused records.
    pub(crate) columns: Vec<ArrayRef>,
    /// Refused records by rising number, with all reasons.
    pub(crate) refused: Vec<(usize, String)>,
}

/// A relation, where its columns are in a record, and which of their types a person gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// What the rows belong to.
    pub(crate) relation: &'a Arc<Relation>,
    /// For each of its columns, its place in a record.
    pub(crate) places: &'a [usize],
    /// Columns whose types are the settings'; the others were inferred.
    pub(crate) given: &'a [(String, ColumnType)],
}

impl Decoded {
    /// The rows as inserts; `None` when all were refused.
    ///
    /// # Errors
    /// `Bug` when columns do not fit their relation.
    pub(crate) fn batch(self, relation: &Arc<Relation>) -> Result<Option<Batch>> {
        if self.columns.first().is_none_or(|column| column.is_empty()) {
            return Ok(None);
        }
        let rows = RecordBatch::try_new(relation.columns().clone(), self.columns)
            .map_err(|error| Error::bug("parsed columns do not fit their table").with_source(error))?;
        Batch::inserts(relation.clone(), rows).map(Some)
    }
}

/// Reads the columns of some records.
///
/// # Errors
/// `Bug` when a type was not checked.
pub(crate) fn decode(shape: Shape<'_>, rules: &CellRules, records: Records<'_>) -> Result<Decoded> {
    let relation = shape.relation;
    let mut columns = Vec::with_capacity(shape.places.len());
    let mut reasons: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (i, (&place, field)) in shape.places.iter().zip(relation.columns().fields()).enumerate() {
        let (column, unreadable) = rules.column(records, place, field.data_type())?;
        if relation.key().contains(&i) && column.null_count() > unreadable.len() {
            for record in (0..column.len()).filter(|&record| column.is_null(record)) {
                if unreadable.binary_search(&record).is_err() {
                    reasons.entry(record).or_default().push(format!("key column {} is empty", field.name()));
                }
            }
        }
        if !unreadable.is_empty() {
            let given = shape.given.iter().any(|(name, _)| name == field.name());
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
