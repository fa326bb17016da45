//! Where keys stand: which range of a table a row belongs to.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, Result};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::row::{RowConverter, SortField};

use super::{Key, TableReader};

/// The key columns of rows, in key order, bare of metadata.
///
/// # Errors
/// `Bug` when the rows are not the relation's.
pub(super) fn keys_of(relation: &Relation, rows: &RecordBatch) -> Result<RecordBatch> {
    let fields: Vec<Field> = relation
        .key()
        .iter()
        .map(|&i| Field::new(relation.columns().field(i).name(), relation.columns().field(i).data_type().clone(), true))
        .collect();
    let columns = relation.key().iter().map(|&i| rows.column(i).clone()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Error::bug("rows do not have their table's key").with_source(error))
}

/// True when keys of these types sort here as in every database: whole numbers, decimals, moments, bytes, and text that
/// the system says is sorted by its bytes.
pub(super) fn sorts_natively(relation: &Relation) -> bool {
    relation.key().iter().all(|&i| {
        matches!(
            relation.columns().field(i).data_type(),
            DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::UInt8
                | DataType::UInt16
                | DataType::UInt32
                | DataType::UInt64
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
                | DataType::Date32
                | DataType::Timestamp(..)
                | DataType::Time64(_)
                | DataType::Duration(_)
                | DataType::Boolean
                | DataType::Binary
                | DataType::Utf8
        )
    })
}

/// Turns keys into bytes that are equal for equal keys and sort as the keys do.
pub(super) struct KeyBytes {
    converter: RowConverter,
}

impl KeyBytes {
    /// For the keys of one table.
    ///
    /// # Errors
    /// `Bug` for types that cannot be keys.
    pub(super) fn new(keys: &RecordBatch) -> Result<Self> {
        let fields = keys.columns().iter().map(|column| SortField::new(column.data_type().clone())).collect();
        RowConverter::new(fields).map(|converter| Self { converter }).map_err(unsortable)
    }

    /// One per row.
    ///
    /// # Errors
    /// `Bug` when the keys are not the table's.
    pub(super) fn bytes(&self, keys: &RecordBatch) -> Result<arrow::row::Rows> {
        self.converter.convert_columns(keys.columns()).map_err(unsortable)
    }
}

fn unsortable(error: arrow::error::ArrowError) -> Error {
    Error::bug("keys cannot be compared").with_source(error)
}

/// For each row of `keys`, how many of the rising `edges` it is above.
///
/// `reader` is asked where only the database knows the order.
pub(super) async fn regions<R: TableReader>(
    relation: &Relation,
    keys: &RecordBatch,
    edges: &[&Key],
    reader: Option<&mut R>,
) -> Result<Vec<usize>> {
    let Some(reader) = reader else { return natively(keys, edges) };
    let mut above = vec![0; keys.num_rows()];
    let mut open: Vec<u32> = (0..keys.num_rows() as u32).collect();
    for (index, edge) in edges.iter().enumerate() {
        if open.is_empty() {
            break;
        }
        let asked = take_record_batch(keys, &UInt32Array::from(open.clone())).map_err(unsortable)?;
        let within = reader.is_at_most(relation, &asked, edge).await?;
        if within.len() != open.len() {
            return Err(Error::bug("the database answered for another number of keys"));
        }
        let mut left = Vec::new();
        for (&row, within) in open.iter().zip(within) {
            if !within {
                above[row as usize] = index + 1;
                left.push(row);
            }
        }
        open = left;
    }
    Ok(above)
}

fn natively(keys: &RecordBatch, edges: &[&Key]) -> Result<Vec<usize>> {
    let bytes = KeyBytes::new(keys)?;
    let edges = edges.iter().map(|edge| bytes.bytes(edge)).collect::<Result<Vec<_>>>()?;
    let rows = bytes.bytes(keys)?;
    Ok(rows.iter().map(|row| edges.partition_point(|edge| edge.row(0) < row)).collect())
}
