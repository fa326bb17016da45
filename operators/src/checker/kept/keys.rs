//! Values of one or several columns as bytes that are equal where the values are.

use aqueduct_model::{Batch, Error, ErrorKind, Relation, Result};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};

use crate::predicate::present;

/// Columns of a relation.
#[derive(Debug)]
pub(in crate::checker) struct Keys {
    columns: Vec<usize>,
    /// The types in which values are compared.
    types: Vec<DataType>,
    converter: RowConverter,
}

/// The values of a batch's rows.
pub(in crate::checker) struct Values {
    rows: Rows,
    is_null: Vec<bool>,
    /// Where all of them were sent; `None`: everywhere.
    present: Option<BooleanArray>,
}

/// The values of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checker) enum Value<'a> {
    /// One of them was not sent.
    Absent,
    /// One of them is NULL.
    Null,
    /// All of them, as bytes.
    Is(&'a [u8]),
}

impl Keys {
    /// Finds the columns.
    ///
    /// # Errors
    /// `Config` when one does not exist, or cannot be compared.
    pub(in crate::checker) fn bind(relation: &Relation, names: &[impl AsRef<str>]) -> Result<Self> {
        let columns = names.iter().map(|name| relation.column(name.as_ref()).map(|(index, _)| index));
        let columns: Vec<usize> = columns.collect::<Result<_>>()?;
        let field = |index: &usize| relation.columns().field(*index);
        let types: Vec<DataType> = columns.iter().map(|index| comparable(field(index).data_type())).collect();
        let fields = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
        let converter = RowConverter::new(fields).map_err(|error| {
            Error::config(format!("columns of {} cannot be compared", relation.name()))
                .with_source(error)
                .with_hint("name columns of plain types, or convert the others to text before: a task Mapping")
        })?;
        Ok(Self { columns, types, converter })
    }

    /// The columns, by their place in the relation.
    pub(in crate::checker) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The types in which values are compared: those of equal types only are ever equal.
    pub(in crate::checker) fn types(&self) -> String {
        self.types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// The values of a batch.
    ///
    /// # Errors
    /// `Data` when a value is beyond the type in which it is compared.
    pub(in crate::checker) fn of(&self, batch: &Batch) -> Result<Values> {
        // An overflow must not become NULL, which keeps every rule.
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let column = |(index, data_type): (&usize, &DataType)| {
            cast_with_options(batch.rows().column(*index), data_type, &options)
        };
        let too_large = |error| {
            let text = format!("a value of {} is too large to be compared", batch.relation().name());
            Error::new(ErrorKind::Data, text)
                .with_source(error)
                .with_hint("leave such rows out before: a rule `range` in a task Checker in front of this one")
        };
        let values = self.columns.iter().zip(&self.types).map(|place| column(place).map_err(too_large));
        let values: Vec<ArrayRef> = values.collect::<Result<_>>()?;
        let is_null = (0..batch.num_rows()).map(|row| values.iter().any(|values| values.is_null(row))).collect();
        let rows = self.converter.convert_columns(&values);
        let rows = rows.map_err(|error| Error::bug("values do not fit their own types").with_source(error))?;
        Ok(Values { rows, is_null, present: present(&self.columns, batch) })
    }
}

impl Values {
    /// The values of a row.
    pub(in crate::checker) fn get(&self, row: usize) -> Value<'_> {
        if self.present.as_ref().is_some_and(|present| !present.value(row)) {
            return Value::Absent;
        }
        if self.is_null[row] { Value::Null } else { Value::Is(self.bytes(row)) }
    }

    /// The bytes of a row, be one of its values NULL or not.
    pub(in crate::checker) fn bytes(&self, row: usize) -> &[u8] {
        self.rows.row(row).data()
    }
}

/// The type in which values are compared: whole numbers of all widths are equal to each other, and so are texts.
fn comparable(data_type: &DataType) -> DataType {
    match data_type {
        number if number.is_integer() => DataType::Decimal128(20, 0),
        DataType::Float32 => DataType::Float64,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => comparable(values),
        other => other.clone(),
    }
}
