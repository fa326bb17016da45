//! Columns reduced to the few kinds of cells that the wire of a database server knows, and back.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::types::{Decimal128Type, Decimal256Type, Int64Type};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array, Float32Array, Float64Array,
    Int64Array, StringArray, UInt64Array,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit, i256};

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    UInt64,
    Float32,
    Float64,
    Decimal {
        scale: i8,
    },
    Text,
    Bytes,
    /// Days since 1970.
    Date,
    /// Microseconds since 1970; of a wall clock, or in UTC.
    Stamp {
        utc: bool,
    },
    /// Microseconds since midnight.
    Time,
    /// Microseconds.
    Duration,
}

/// The kind of a column of an Arrow type that a target took (see `column_type`). What has nanoseconds is an integer.
pub(crate) fn kind(data_type: &DataType) -> Kind {
    use DataType::*;
    match data_type {
        Boolean => Kind::Bool,
        UInt64 => Kind::UInt64,
        Float16 | Float32 => Kind::Float32,
        Float64 => Kind::Float64,
        Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) | Decimal256(_, scale) => {
            Kind::Decimal { scale: *scale }
        }
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Kind::Bytes,
        Date32 => Kind::Date,
        Timestamp(TimeUnit::Nanosecond, _) | Time64(TimeUnit::Nanosecond) => Kind::Int,
        Date64 | Timestamp(_, None) => Kind::Stamp { utc: false },
        Timestamp(_, Some(_)) => Kind::Stamp { utc: true },
        Time32(_) | Time64(_) => Kind::Time,
        Duration(TimeUnit::Microsecond) => Kind::Duration,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Duration(_) => Kind::Int,
        Dictionary(_, values) => kind(values),
        _ => Kind::Text,
    }
}

/// A column of cells.
#[derive(Debug, Clone)]
pub(crate) enum Cells {
    Bool(BooleanArray),
    /// `Int`, `Date`, `Stamp`, `Time`, `Duration`.
    Int(Int64Array),
    UInt64(UInt64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Decimal128(Decimal128Array),
    Decimal256(Decimal256Array),
    Text(StringArray),
    Bytes(BinaryArray),
}

impl Cells {
    /// The cells of a column. A moment that has no microseconds in 64 bits becomes NULL: see [`Cells::lost`].
    ///
    /// # Errors
    /// `Bug` for a type that no target takes.
    pub fn of(array: &ArrayRef) -> Result<Self> {
        let to = |data_type: DataType| {
            cast(array, &data_type).map_err(|error| {
                Error::bug(format!("cannot convert a column of type {}", array.data_type())).with_source(error)
            })
        };
        Ok(match kind(array.data_type()) {
            Kind::Bool => Self::Bool(to(DataType::Boolean)?.as_boolean().clone()),
            Kind::UInt64 => Self::UInt64(to(DataType::UInt64)?.as_primitive().clone()),
            Kind::Float32 => Self::Float32(to(DataType::Float32)?.as_primitive().clone()),
            Kind::Float64 => Self::Float64(to(DataType::Float64)?.as_primitive().clone()),
            Kind::Bytes => Self::Bytes(to(DataType::Binary)?.as_binary::<i32>().clone()),
            Kind::Text => Self::Text(to(DataType::Utf8)?.as_string::<i32>().clone()),
            Kind::Decimal { .. } => match array.data_type() {
                DataType::Decimal256(..) => Self::Decimal256(array.as_primitive::<Decimal256Type>().clone()),
                DataType::Decimal128(..) => Self::Decimal128(array.as_primitive::<Decimal128Type>().clone()),
                DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => {
                    Self::Decimal128(to(DataType::Decimal128(*p, *s))?.as_primitive::<Decimal128Type>().clone())
                }
                _ => return Err(Error::bug("a dictionary of decimals")),
            },
            Kind::Int | Kind::Date | Kind::Stamp { .. } | Kind::Time | Kind::Duration => {
                let own_width = match array.data_type() {
                    DataType::Date32 | DataType::Time32(_) => to(DataType::Int32)?,
                    _ => array.clone(),
                };
                let numbers = cast(&own_width, &DataType::Int64)
                    .map_err(|error| Error::bug("cannot take the numbers of a column").with_source(error))?;
                let numbers = numbers.as_primitive::<Int64Type>();
                Self::Int(match micros_per_tick(array.data_type()) {
                    1 => numbers.clone(),
                    factor => numbers.iter().map(|value| value.and_then(|value| value.checked_mul(factor))).collect(),
                })
            }
        })
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => array,
            Self::Int(array) => array,
            Self::UInt64(array) => array,
            Self::Float32(array) => array,
            Self::Float64(array) => array,
            Self::Decimal128(array) => array,
            Self::Decimal256(array) => array,
            Self::Text(array) => array,
            Self::Bytes(array) => array,
        }
    }

    /// True where there is no value.
    pub fn is_null(&self, row: usize) -> bool {
        self.array().is_null(row)
    }

    /// The rows that have a value which became NULL.
    pub fn lost(&self, of: &ArrayRef) -> Vec<usize> {
        if self.array().null_count() == of.logical_null_count() {
            return Vec::new();
        }
        let nulls = of.logical_nulls();
        let had_value = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        (0..of.len()).filter(|&row| self.is_null(row) && had_value(row)).collect()
    }
}

/// Microseconds in one unit of a type with a time in it; 1 for all others.
fn micros_per_tick(data_type: &DataType) -> i64 {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, _) | DataType::Time32(TimeUnit::Second) => 1_000_000,
        DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Time32(TimeUnit::Millisecond) => {
            1_000
        }
        _ => 1,
    }
}

/// Cells as a column of the type that they were written from.
///
/// # Errors
/// `Data` when one is no value of that type: someone else wrote it.
pub(crate) fn restore(cells: &Cells, column: &str, wanted: &DataType) -> Result<ArrayRef> {
    restored(cells, wanted).ok_or_else(|| foreign_value(column))
}

fn restored(cells: &Cells, wanted: &DataType) -> Option<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let to = |array: &dyn Array, wanted: &DataType| cast_with_options(array, wanted, &strict).ok();
    Some(match cells {
        Cells::Decimal128(array) => to(array, wanted)?,
        Cells::Decimal256(array) => to(array, wanted)?,
        Cells::Int(array) => {
            let factor = micros_per_tick(wanted);
            let array: Int64Array = match factor {
                1 => array.clone(),
                _ if array.iter().flatten().any(|value| value % factor != 0) => return None,
                _ => array.unary(|value| value / factor),
            };
            match wanted {
                DataType::Date32 | DataType::Time32(_) => to(&to(&array, &DataType::Int32)?, wanted)?,
                _ => to(&array, wanted)?,
            }
        }
        other => {
            let array = other.array();
            if array.data_type() == wanted { arrow::array::make_array(array.to_data()) } else { to(array, wanted)? }
        }
    })
}

/// The error for a value of the target that this flow cannot have written.
pub(crate) fn foreign_value(column: &str) -> Error {
    Error::new(
        ErrorKind::Data,
        format!("column {column} of the target holds a value that was not written by this flow"),
    )
    .with_hint("someone else changed the table: repair it, or write elsewhere with `table`")
}

/// Digits with a point as a number of that many decimals; `None` for any other text.
pub(crate) fn parse_decimal(text: &str, scale: i8) -> Option<i256> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) || whole.is_empty() {
        return None;
    }
    let mut all = String::with_capacity(digits.len() + scale.unsigned_abs() as usize);
    all.push_str(whole);
    if scale >= 0 {
        let kept = fraction.len().min(scale as usize);
        if fraction[kept..].bytes().any(|digit| digit != b'0') {
            return None;
        }
        all.push_str(&fraction[..kept]);
        all.extend(std::iter::repeat_n('0', scale as usize - kept));
    } else {
        let cut = all.len().checked_sub(scale.unsigned_abs() as usize).filter(|&cut| cut > 0);
        match cut {
            Some(cut) if all[cut..].bytes().all(|digit| digit == b'0') => all.truncate(cut),
            _ if all.bytes().all(|digit| digit == b'0') => all = "0".to_owned(),
            _ => return None,
        }
    }
    let value = i256::from_string(&all)?;
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Builds a column of cells.
pub(crate) enum CellsBuilder {
    Bool(Vec<Option<bool>>),
    Int(Vec<Option<i64>>),
    UInt64(Vec<Option<u64>>),
    Float32(Vec<Option<f32>>),
    Float64(Vec<Option<f64>>),
    Decimal(Vec<Option<i256>>, i8),
    Text(arrow::array::StringBuilder),
    Bytes(arrow::array::BinaryBuilder),
}

impl CellsBuilder {
    /// A builder of cells of that kind.
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(Vec::new()),
            Kind::Int | Kind::Date | Kind::Stamp { .. } | Kind::Time | Kind::Duration => Self::Int(Vec::new()),
            Kind::UInt64 => Self::UInt64(Vec::new()),
            Kind::Float32 => Self::Float32(Vec::new()),
            Kind::Float64 => Self::Float64(Vec::new()),
            Kind::Decimal { scale } => Self::Decimal(Vec::new(), scale),
            Kind::Text => Self::Text(arrow::array::StringBuilder::new()),
            Kind::Bytes => Self::Bytes(arrow::array::BinaryBuilder::new()),
        }
    }

    /// Appends NULL.
    pub fn null(&mut self) {
        match self {
            Self::Bool(values) => values.push(None),
            Self::Int(values) => values.push(None),
            Self::UInt64(values) => values.push(None),
            Self::Float32(values) => values.push(None),
            Self::Float64(values) => values.push(None),
            Self::Decimal(values, _) => values.push(None),
            Self::Text(values) => values.append_null(),
            Self::Bytes(values) => values.append_null(),
        }
    }

    /// The cells; decimals take the form of the type that is wanted in the end.
    pub fn finish(self, wanted: &DataType) -> Result<Cells> {
        Ok(match self {
            Self::Bool(values) => Cells::Bool(values.into()),
            Self::Int(values) => Cells::Int(values.into()),
            Self::UInt64(values) => Cells::UInt64(values.into()),
            Self::Float32(values) => Cells::Float32(values.into()),
            Self::Float64(values) => Cells::Float64(values.into()),
            Self::Text(mut values) => Cells::Text(values.finish()),
            Self::Bytes(mut values) => Cells::Bytes(values.finish()),
            Self::Decimal(values, _) => decimals(values, wanted)?,
        })
    }
}

fn decimals(values: Vec<Option<i256>>, wanted: &DataType) -> Result<Cells> {
    let too_long =
        |_| Error::new(ErrorKind::Data, "a decimal of the target has more digits than its column at the source");
    Ok(match wanted {
        DataType::Decimal256(precision, scale) => {
            let array: Decimal256Array = values.into_iter().collect();
            Cells::Decimal256(array.with_precision_and_scale(*precision, *scale).map_err(too_long)?)
        }
        DataType::Decimal128(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal32(precision, scale) => {
            let array: Decimal128Array = values.into_iter().map(|value| value.and_then(i256::to_i128)).collect();
            Cells::Decimal128(array.with_precision_and_scale(*precision, *scale).map_err(too_long)?)
        }
        _ => return Err(Error::bug("decimals are restored as another type")),
    })
}

/// A batch of restored columns.
///
/// # Errors
/// `Data` as [`restore`].
pub(crate) fn batch(
    builders: Vec<CellsBuilder>,
    schema: &arrow::datatypes::SchemaRef,
    rows: usize,
) -> Result<arrow::array::RecordBatch> {
    let columns: Vec<ArrayRef> = builders
        .into_iter()
        .zip(schema.fields())
        .map(|(builder, field)| restore(&builder.finish(field.data_type())?, field.name(), field.data_type()))
        .collect::<Result<_>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    arrow::array::RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::bug("cannot assemble rows that were read back").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        for (text, scale, expected) in [
            ("12.30", 2, Some(1_230)),
            ("-0.05", 2, Some(-5)),
            ("12.300", 2, Some(1_230)),
            ("12.345", 2, None),
            ("7", 3, Some(7_000)),
            ("1200", -2, Some(12)),
            ("1250", -2, None),
            ("0", -2, Some(0)),
            ("NaN", 2, None),
            ("", 0, None),
        ] {
            assert_eq!(parse_decimal(text, scale), expected.map(i256::from_i128), "{text}");
        }
    }
}
