//! One column of a result, as it grows.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder,
    DurationMicrosecondBuilder, Float32Builder, Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, TimeUnit};
use mysql_async::Value;

use super::decimal::{decimal128, decimal256};
use super::temporal::{Civil, TextForm, Unfit, ZeroDates, duration_us, time_us};

/// Why a cell does not fit its column; holds no value.
pub(super) type Misfit = &'static str;

const OTHER_TYPE: Misfit = "its value is not of the column's type: the table has changed";
const OUT_OF_RANGE: Misfit = "its number is out of the column's range";
const NOT_A_NUMBER: Misfit = "its number has more digits than the column";
const NOT_TEXT: Misfit = "its text is not valid UTF-8";
const NO_SUCH_DATE: Misfit = "its date does not exist (zero_dates decides what becomes of such dates)";

/// The builder of one column.
pub(super) enum Column {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt8(UInt8Builder),
    UInt16(UInt16Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder, u8, u8),
    Decimal256(Box<Decimal256Builder>, u8, u8),
    Date(Date32Builder, ZeroDates),
    Timestamp(TimestampMicrosecondBuilder, ZeroDates),
    Duration(DurationMicrosecondBuilder),
    Text(StringBuilder, TextForm),
    Binary(BinaryBuilder),
}

impl Column {
    /// An empty column for a field.
    ///
    /// # Errors
    /// `Bug` for a type that no column of MySQL has.
    pub(super) fn new(field: &Field, zero_dates: ZeroDates) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int8 => Self::Int8(Int8Builder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::UInt8 => Self::UInt8(UInt8Builder::new()),
            DataType::UInt16 => Self::UInt16(UInt16Builder::new()),
            DataType::UInt32 => Self::UInt32(UInt32Builder::new()),
            DataType::UInt64 => Self::UInt64(UInt64Builder::new()),
            DataType::Float32 => Self::Float32(Float32Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            &DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::new().with_data_type(field.data_type().clone());
                Self::Decimal128(builder, precision, scale.unsigned_abs())
            }
            &DataType::Decimal256(precision, scale) => {
                let builder = Decimal256Builder::new().with_data_type(field.data_type().clone());
                Self::Decimal256(Box::new(builder), precision, scale.unsigned_abs())
            }
            DataType::Date32 => Self::Date(Date32Builder::new(), zero_dates),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()), zero_dates)
            }
            DataType::Duration(TimeUnit::Microsecond) => Self::Duration(DurationMicrosecondBuilder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new(), TextForm::of(field)),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            other => return Err(Error::bug(format!("column {} of MySQL has the type {other}", field.name()))),
        })
    }

    /// Appends a cell; false when it is, or became, NULL. When it does not fit, nothing is appended.
    pub(super) fn append(&mut self, value: &Value) -> Result<bool, Misfit> {
        match (self, value) {
            (column, Value::NULL) => {
                column.append_null();
                return Ok(false);
            }
            (Self::Boolean(builder), Value::Bytes(bits)) => builder.append_value(bit_number(bits)? != 0),
            (Self::Boolean(builder), Value::Int(_) | Value::UInt(_)) => builder.append_value(unsigned(value)? != 0),
            (Self::Int8(builder), _) => builder.append_value(narrow(signed(value)?)?),
            (Self::Int16(builder), _) => builder.append_value(narrow(signed(value)?)?),
            (Self::Int32(builder), _) => builder.append_value(narrow(signed(value)?)?),
            (Self::Int64(builder), _) => builder.append_value(signed(value)?),
            (Self::UInt8(builder), _) => builder.append_value(narrow(unsigned(value)?)?),
            (Self::UInt16(builder), _) => builder.append_value(narrow(unsigned(value)?)?),
            (Self::UInt32(builder), _) => builder.append_value(narrow(unsigned(value)?)?),
            (Self::UInt64(builder), Value::Bytes(bits)) => builder.append_value(bit_number(bits)?),
            (Self::UInt64(builder), _) => builder.append_value(unsigned(value)?),
            (Self::Float32(builder), Value::Float(number)) => builder.append_value(*number),
            (Self::Float64(builder), Value::Double(number)) => builder.append_value(*number),
            (Self::Decimal128(builder, precision, scale), Value::Bytes(text)) => {
                builder.append_value(decimal128(text, *precision, *scale).ok_or(NOT_A_NUMBER)?);
            }
            (Self::Decimal256(builder, precision, scale), Value::Bytes(text)) => {
                builder.append_value(decimal256(text, *precision, *scale).ok_or(NOT_A_NUMBER)?);
            }
            (Self::Text(builder, _), Value::Bytes(text)) => {
                builder.append_value(std::str::from_utf8(text).map_err(|_| NOT_TEXT)?);
            }
            (Self::Binary(builder), Value::Bytes(bytes)) => builder.append_value(bytes),
            (column, &Value::Date(year, month, day, hour, minute, second, micro)) => {
                return column.append_date(Civil { year, month, day }, [hour, minute, second], micro);
            }
            (Self::Duration(builder), &Value::Time(negative, days, hour, minute, second, micro)) => {
                builder.append_value(duration_us(negative, days, time_us(hour, minute, second, micro)));
            }
            _ => return Err(OTHER_TYPE),
        }
        Ok(true)
    }

    fn append_date(&mut self, date: Civil, [hour, minute, second]: [u8; 3], micro: u32) -> Result<bool, Misfit> {
        let fits = match self {
            Self::Date(builder, zero_dates) => zero_dates.days(date).map(|days| builder.append_value(days)),
            Self::Timestamp(builder, zero_dates) => {
                zero_dates.micros(date, time_us(hour, minute, second, micro)).map(|us| builder.append_value(us))
            }
            Self::Text(builder, form) => {
                builder.append_value(form.write(date, hour, minute, second, micro));
                Ok(())
            }
            _ => return Err(OTHER_TYPE),
        };
        match fits {
            Ok(()) => Ok(true),
            Err(Unfit::Null) => {
                self.append_null();
                Ok(false)
            }
            Err(Unfit::NoSuchDate) => Err(NO_SUCH_DATE),
        }
    }

    /// Appends a NULL.
    pub(super) fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::UInt8(builder) => builder.append_null(),
            Self::UInt16(builder) => builder.append_null(),
            Self::UInt32(builder) => builder.append_null(),
            Self::UInt64(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal128(builder, ..) => builder.append_null(),
            Self::Decimal256(builder, ..) => builder.append_null(),
            Self::Date(builder, _) => builder.append_null(),
            Self::Timestamp(builder, _) => builder.append_null(),
            Self::Duration(builder) => builder.append_null(),
            Self::Text(builder, _) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
        }
    }

    /// The cells appended so far; the column is empty again.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::UInt8(builder) => Arc::new(builder.finish()),
            Self::UInt16(builder) => Arc::new(builder.finish()),
            Self::UInt32(builder) => Arc::new(builder.finish()),
            Self::UInt64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal128(builder, ..) => Arc::new(builder.finish()),
            Self::Decimal256(builder, ..) => Arc::new(builder.finish()),
            Self::Date(builder, _) => Arc::new(builder.finish()),
            Self::Timestamp(builder, _) => Arc::new(builder.finish()),
            Self::Duration(builder) => Arc::new(builder.finish()),
            Self::Text(builder, _) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
        }
    }
}

fn signed(value: &Value) -> Result<i64, Misfit> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::UInt(number) => i64::try_from(*number).map_err(|_| OUT_OF_RANGE),
        _ => Err(OTHER_TYPE),
    }
}

fn unsigned(value: &Value) -> Result<u64, Misfit> {
    match value {
        Value::UInt(number) => Ok(*number),
        Value::Int(number) => u64::try_from(*number).map_err(|_| OUT_OF_RANGE),
        _ => Err(OTHER_TYPE),
    }
}

fn narrow<W, N: TryFrom<W>>(number: W) -> Result<N, Misfit> {
    N::try_from(number).map_err(|_| OUT_OF_RANGE)
}

/// BIT: the most significant byte first.
fn bit_number(bits: &[u8]) -> Result<u64, Misfit> {
    if bits.len() > 8 {
        return Err(OTHER_TYPE);
    }
    Ok(bits.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}
