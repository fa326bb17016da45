//! Rows as digests, tables as sums of digests.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, Result};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::row::{RowConverter, Rows, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use xxhash_rust::xxh3::xxh3_128;

use super::canonical::Form;

/// How many buckets of keys a table has.
pub(super) const BUCKETS: usize = 4_096;

/// A count and an order-independent sum; both sides of a comparison are folded into one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: i64,
    /// Wrapping sum of the rows' 128-bit digests.
    pub(super) digest: u128,
}

impl Sum {
    /// Adds a row, or takes one away.
    pub(super) fn add(&mut self, digest: u128, sign: i64) {
        self.rows += sign;
        self.digest = match sign {
            1 => self.digest.wrapping_add(digest),
            _ => self.digest.wrapping_sub(digest),
        };
    }
}

/// A row's key and content.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowDigest {
    pub(super) key: u128,
    pub(super) row: u128,
}

impl RowDigest {
    pub(super) fn bucket(&self) -> usize {
        (self.key % BUCKETS as u128) as usize
    }
}

/// Makes digests of one table's rows, whatever side they come from: columns are taken by name, cast to the target's
/// types and made canonical before, so equal values have equal bytes.
pub(super) struct Digester {
    relation: Arc<Relation>,
    /// By column: what makes a value canonical.
    forms: Vec<Form>,
    rows: RowConverter,
    keys: RowConverter,
    /// The key columns; all columns for a table without a key.
    key: Vec<usize>,
}

impl Digester {
    pub(super) fn new(relation: Arc<Relation>) -> Result<Self> {
        let key = match relation.key() {
            [] => (0..relation.columns().fields().len()).collect(),
            key => key.to_vec(),
        };
        let field = |i: usize| SortField::new(relation.columns().field(i).data_type().clone());
        let rows = RowConverter::new((0..relation.columns().fields().len()).map(field).collect()).map_err(unfit)?;
        let keys = RowConverter::new(key.iter().map(|&i| field(i)).collect()).map_err(unfit)?;
        let forms = relation.columns().fields().iter().map(|field| Form::of(field)).collect();
        Ok(Self { relation, forms, rows, keys, key })
    }

    pub(super) fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// The table's columns out of a batch that may have more, in another order, of other types.
    ///
    /// # Errors
    /// `Schema` when a column is missing or cannot be cast.
    pub(super) fn align(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let mut columns = Vec::with_capacity(self.relation.columns().fields().len());
        for field in self.relation.columns().fields() {
            let column = batch.column_by_name(field.name()).ok_or_else(|| {
                Error::new(
                    aqueduct_model::ErrorKind::Schema,
                    format!("column {} of {} is not on the other side", field.name(), self.relation.name()),
                )
            })?;
            let column = if column.data_type() == field.data_type() {
                column.clone()
            } else {
                // A value that does not fit must not become NULL.
                let strict = CastOptions { safe: false, ..CastOptions::default() };
                cast_with_options(column, field.data_type(), &strict).map_err(unfit)?
            };
            columns.push(column);
        }
        Ok(columns)
    }

    /// Aligned columns with one spelling per value.
    pub(super) fn canonical(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.forms.iter().zip(columns).map(|(form, column)| form.canonical(column)).collect()
    }

    /// One digest per row of canonical columns.
    pub(super) fn digest(&self, columns: &[ArrayRef]) -> Result<Vec<RowDigest>> {
        let rows = self.rows.convert_columns(columns).map_err(unfit)?;
        let key_columns: Vec<ArrayRef> = self.key.iter().map(|&i| columns[i].clone()).collect();
        let keys = self.keys.convert_columns(&key_columns).map_err(unfit)?;
        Ok(rows
            .iter()
            .zip(keys.iter())
            .map(|(row, key)| RowDigest { key: xxh3_128(key.as_ref()), row: xxh3_128(row.as_ref()) })
            .collect())
    }

    /// Canonical columns as comparable bytes, each by itself.
    pub(super) fn cells(&self, columns: &[ArrayRef]) -> Result<Vec<Rows>> {
        let convert = |column: &ArrayRef| {
            let converter = RowConverter::new(vec![SortField::new(column.data_type().clone())])?;
            converter.convert_columns(std::slice::from_ref(column))
        };
        columns.iter().map(|column| convert(column).map_err(unfit)).collect()
    }

    /// The key of row `i`, for people.
    pub(super) fn key_text(&self, columns: &[ArrayRef], i: usize) -> String {
        let options = FormatOptions::default().with_null("NULL");
        let part = |&column: &usize| {
            let name = self.relation.columns().field(column).name();
            let value =
                ArrayFormatter::try_new(columns[column].as_ref(), &options).map(|text| text.value(i).to_string());
            format!("{name}={}", value.unwrap_or_default())
        };
        self.key.iter().map(part).collect::<Vec<_>>().join(" ")
    }
}

fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::new(aqueduct_model::ErrorKind::Schema, "the two sides have types that cannot be compared").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aqueduct_model::RelationName;
    use arrow::array::{Int32Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    fn digester() -> Digester {
        let columns = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
        ]));
        Digester::new(Arc::new(Relation::new(RelationName::table("t"), columns, &["id"], 1).unwrap())).unwrap()
    }

    fn sum(digester: &Digester, batch: &RecordBatch) -> Sum {
        let mut sum = Sum::default();
        for row in digester.digest(&digester.align(batch).unwrap()).unwrap() {
            sum.add(row.row, 1);
        }
        sum
    }

    #[test]
    fn order_types_and_column_order_do_not_matter_but_values_and_nulls_do() {
        let digester = digester();
        let wide = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("name", Arc::new(StringArray::from(vec![Some("a"), None])) as ArrayRef),
        ]);
        let narrow = RecordBatch::try_from_iter([
            ("name", Arc::new(StringArray::from(vec![None, Some("a")])) as ArrayRef),
            ("id", Arc::new(Int32Array::from(vec![2, 1])) as ArrayRef),
        ]);
        let other = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
            ("name", Arc::new(StringArray::from(vec![Some("a"), Some("")])) as ArrayRef),
        ]);
        let expected = sum(&digester, &wide.unwrap());
        assert_eq!(sum(&digester, &narrow.unwrap()), expected);
        assert_ne!(sum(&digester, &other.unwrap()), expected, "NULL is not an empty string");
    }

    #[test]
    fn an_added_row_that_is_taken_away_leaves_nothing() {
        let mut sum = Sum::default();
        sum.add(u128::MAX - 3, 1);
        sum.add(77, 1);
        sum.add(u128::MAX - 3, -1);
        sum.add(77, -1);
        assert_eq!(sum, Sum::default());
    }
}
