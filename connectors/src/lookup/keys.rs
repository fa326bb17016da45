//! The keys of rows, as the table has them.

use std::collections::HashSet;

use aqueduct_model::{Batch, Error, Relation, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{can_cast_types, cast, nullif};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};

/// Converts columns of the input into keys of the table.
pub(super) struct Keys {
    /// Places of the columns in the input.
    columns: Vec<usize>,
    /// The table's columns.
    schema: SchemaRef,
    converter: RowConverter,
}

/// The keys of a batch.
pub(super) struct KeysOfBatch {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) rows: Rows,
}

impl Keys {
    /// Names the input's columns, one for each column of `schema`.
    ///
    /// # Errors
    /// `Config` when there is no such column, or it is of a type that the table's cannot be compared with.
    pub(super) fn bind(input: &Relation, names: &[String], schema: &SchemaRef) -> Result<Self> {
        let mut columns = Vec::with_capacity(names.len());
        for (name, field) in names.iter().zip(schema.fields()) {
            let (index, of_input) = input.column(name).map_err(|error| error.with_setting("on"))?;
            let (from, to) = (of_input.data_type(), field.data_type());
            if from != to && !(is_comparable(from, to) && can_cast_types(from, to) && can_cast_types(to, from)) {
                let text = format!("{name} is {from}, and {} of the looked-up table is {to}", field.name());
                return Err(Error::config(text)
                    .with_setting("on")
                    .with_hint("convert it before, by a task Mapping: `cast: { … }`"));
            }
            columns.push(index);
        }
        Ok(Self { columns, schema: schema.clone(), converter: converter(schema)? })
    }

    /// The keys of a batch's rows, by the table's types. A key that the type does not have is NULL: no row has it.
    pub(super) fn of(&self, batch: &Batch) -> Result<KeysOfBatch> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (&index, field) in self.columns.iter().zip(self.schema.fields()) {
            columns.push(exactly(batch.rows().column(index), field.data_type())?);
        }
        let rows = self.rows(&columns)?;
        Ok(KeysOfBatch { columns, rows })
    }

    /// The keys of rows of the table, whose first columns they are.
    pub(super) fn rows(&self, columns: &[ArrayRef]) -> Result<Rows> {
        let rows = self.converter.convert_columns(&columns[..self.schema.fields().len()]);
        rows.map_err(|error| Error::bug("keys of a table cannot be compared").with_source(error))
    }

    /// Some of the keys, as the table is asked for them.
    pub(super) fn batch(&self, keys: &KeysOfBatch, rows: &[usize]) -> Result<RecordBatch> {
        let parts = self.converter.convert_rows(rows.iter().map(|&row| keys.rows.row(row)));
        let columns = parts.map_err(|error| Error::bug("keys cannot be read back").with_source(error))?;
        RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| Error::bug("keys do not have their columns").with_source(error))
    }
}

impl KeysOfBatch {
    /// True when a part of a row's key is NULL, which is equal to nothing.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.columns.iter().any(|column| column.is_null(row))
    }

    /// The first row of each different key without NULL, in order.
    pub(super) fn distinct(&self) -> Vec<usize> {
        let mut seen: HashSet<&[u8]> = HashSet::new();
        let count = self.rows.num_rows();
        let keys: Vec<_> = (0..count).map(|row| self.rows.row(row)).collect();
        (0..count).filter(|&row| !self.is_null(row) && seen.insert(keys[row].data())).collect()
    }
}

/// How the columns of a schema are compared.
///
/// # Errors
/// `Config` for types that have no order.
pub(super) fn converter(schema: &SchemaRef) -> Result<RowConverter> {
    let fields: Vec<SortField> =
        schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    RowConverter::new(fields).map_err(|error| Error::config("columns of the table cannot be kept").with_source(error))
}

/// Types between which a conversion there and back shows whether it was exact.
fn is_comparable(from: &DataType, to: &DataType) -> bool {
    let is_number = |data_type: &DataType| {
        data_type.is_integer() || matches!(data_type, DataType::Decimal128(..) | DataType::Decimal256(..))
    };
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_date =
        |data_type: &DataType| matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    let is_bytes = |data_type: &DataType| matches!(data_type, DataType::Binary | DataType::LargeBinary);
    let both = |is: &dyn Fn(&DataType) -> bool| is(from) && is(to);
    both(&is_number)
        || both(&is_text)
        || both(&is_date)
        || both(&is_bytes)
        || (is_number(from) && is_text(to))
        || (is_text(from) && is_number(to))
}

/// The values in another type; NULL where the type does not have just this value.
fn exactly(values: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if values.data_type() == data_type {
        return Ok(values.clone());
    }
    let failed = |error| Error::bug("keys cannot be converted").with_source(error);
    let there = cast(values, data_type).map_err(failed)?;
    let back = cast(&there, values.data_type()).map_err(failed)?;
    let same = not_distinct(&back, values).map_err(failed)?;
    let differs: BooleanArray = same.iter().map(|same| same.map(|same| !same)).collect();
    nullif(&there, &differs).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Decimal128Array, Int64Array, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn a_key_that_the_type_does_not_have_is_none() {
        let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(5_000_000_000), None]));
        let narrow = exactly(&wide, &DataType::Int32).unwrap();
        assert_eq!(narrow.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(7), None, None]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["7", "07", "x", " 7"]));
        let numbers = exactly(&texts, &DataType::Int32).unwrap();
        assert_eq!(numbers.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(7), None, None, None]);
        let decimals = Decimal128Array::from(vec![700, 750]).with_precision_and_scale(5, 2).unwrap();
        let whole = exactly(&(Arc::new(decimals) as ArrayRef), &DataType::Int32).unwrap();
        assert_eq!(whole.as_primitive::<Int32Type>().iter().collect::<Vec<_>>(), [Some(7), None]);
    }
}
