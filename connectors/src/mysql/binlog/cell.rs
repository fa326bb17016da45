//! Single values, from the log's bytes into the builder of their column.

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder,
    DurationMicrosecondBuilder, Float32Builder, Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, TimeUnit, i256};
use std::sync::Arc;

use aqueduct_model::{Error, Result};

use super::bytes::Malformed;

/// Why a value cannot be kept; names no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The event cannot be read on.
    Malformed(Malformed),
    /// The value is bad, its bytes are passed; nothing was appended.
    Bad(&'static str),
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

pub(super) const OTHER_TYPE: Trouble = Trouble::Malformed(Malformed("a column's builder is not of its type"));
const TOO_LONG: Trouble = Trouble::Bad("its column holds more than two GiB in one batch");

/// Bytes that a text or binary column can hold, by Arrow's 32-bit offsets.
const COLUMN_BYTES_MAX: usize = i32::MAX as usize;

/// The builder of one column.
#[derive(Debug)]
pub(super) enum CellBuilder {
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
    Decimal128(Decimal128Builder),
    Decimal256(Box<Decimal256Builder>),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Duration(DurationMicrosecondBuilder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
}

impl CellBuilder {
    /// An empty builder for a field's type.
    ///
    /// # Errors
    /// `Bug` for a type that no column of MySQL has.
    pub fn new(field: &Field) -> Result<Self> {
        let data_type = field.data_type();
        Ok(match data_type {
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
            DataType::Decimal128(..) => Self::Decimal128(Decimal128Builder::new().with_data_type(data_type.clone())),
            DataType::Decimal256(..) => {
                Self::Decimal256(Box::new(Decimal256Builder::new().with_data_type(data_type.clone())))
            }
            DataType::Date32 => Self::Date(Date32Builder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()))
            }
            DataType::Duration(TimeUnit::Microsecond) => Self::Duration(DurationMicrosecondBuilder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            other => return Err(Error::bug(format!("column {} of MySQL has the type {other}", field.name()))),
        })
    }

    /// Appends a whole number of `width` bytes, as it stands in the log.
    #[inline]
    pub fn append_int(&mut self, raw: u64, width: u8) -> Result<(), Trouble> {
        match self {
            Self::Int8(builder) => builder.append_value(raw as u8 as i8),
            Self::Int16(builder) => builder.append_value(raw as u16 as i16),
            // MEDIUMINT has its sign in bit 23.
            Self::Int32(builder) if width == 3 => builder.append_value(((raw as u32) << 8) as i32 >> 8),
            Self::Int32(builder) => builder.append_value(raw as u32 as i32),
            Self::Int64(builder) => builder.append_value(raw as i64),
            Self::UInt8(builder) => builder.append_value(raw as u8),
            Self::UInt16(builder) => builder.append_value(raw as u16),
            Self::UInt32(builder) => builder.append_value(raw as u32),
            Self::UInt64(builder) => builder.append_value(raw),
            Self::Boolean(builder) => builder.append_value(raw != 0),
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }

    pub fn append_float(&mut self, value: f32) -> Result<(), Trouble> {
        let Self::Float32(builder) = self else { return Err(OTHER_TYPE) };
        builder.append_value(value);
        Ok(())
    }

    pub fn append_double(&mut self, value: f64) -> Result<(), Trouble> {
        let Self::Float64(builder) = self else { return Err(OTHER_TYPE) };
        builder.append_value(value);
        Ok(())
    }

    pub fn append_decimal128(&mut self, value: i128) -> Result<(), Trouble> {
        let Self::Decimal128(builder) = self else { return Err(OTHER_TYPE) };
        builder.append_value(value);
        Ok(())
    }

    pub fn append_decimal256(&mut self, value: i256) -> Result<(), Trouble> {
        let Self::Decimal256(builder) = self else { return Err(OTHER_TYPE) };
        builder.append_value(value);
        Ok(())
    }

    /// Days since 1970.
    pub fn append_days(&mut self, days: i32) -> Result<(), Trouble> {
        let Self::Date(builder) = self else { return Err(OTHER_TYPE) };
        builder.append_value(days);
        Ok(())
    }

    /// Microseconds: of a date and time since 1970, or of a time.
    pub fn append_micros(&mut self, micros: i64) -> Result<(), Trouble> {
        match self {
            Self::Timestamp(builder) => builder.append_value(micros),
            Self::Duration(builder) => builder.append_value(micros),
            _ => return Err(OTHER_TYPE),
        }
        Ok(())
    }

    #[inline]
    pub fn append_text(&mut self, text: &str) -> Result<(), Trouble> {
        let Self::Text(builder) = self else { return Err(OTHER_TYPE) };
        if builder.values_slice().len() > COLUMN_BYTES_MAX - text.len().min(COLUMN_BYTES_MAX) {
            return Err(TOO_LONG);
        }
        builder.append_value(text);
        Ok(())
    }

    #[inline]
    pub fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let Self::Binary(builder) = self else { return Err(OTHER_TYPE) };
        if builder.values_slice().len() > COLUMN_BYTES_MAX - bytes.len().min(COLUMN_BYTES_MAX) {
            return Err(TOO_LONG);
        }
        builder.append_value(bytes);
        Ok(())
    }

    /// Appends a NULL; where the column has none, the zero of its type: for cells that are absent, or whose row goes.
    pub fn append_nothing(&mut self, nullable: bool) {
        match self {
            Self::Boolean(builder) => builder.append_option((!nullable).then_some(false)),
            Self::Int8(builder) => builder.append_option((!nullable).then_some(0)),
            Self::Int16(builder) => builder.append_option((!nullable).then_some(0)),
            Self::Int32(builder) => builder.append_option((!nullable).then_some(0)),
            Self::Int64(builder) => builder.append_option((!nullable).then_some(0)),
            Self::UInt8(builder) => builder.append_option((!nullable).then_some(0)),
            Self::UInt16(builder) => builder.append_option((!nullable).then_some(0)),
            Self::UInt32(builder) => builder.append_option((!nullable).then_some(0)),
            Self::UInt64(builder) => builder.append_option((!nullable).then_some(0)),
            Self::Float32(builder) => builder.append_option((!nullable).then_some(0.0)),
            Self::Float64(builder) => builder.append_option((!nullable).then_some(0.0)),
            Self::Decimal128(builder) => builder.append_option((!nullable).then_some(0)),
            Self::Decimal256(builder) => builder.append_option((!nullable).then_some(i256::ZERO)),
            Self::Date(builder) => builder.append_option((!nullable).then_some(0)),
            Self::Timestamp(builder) => builder.append_option((!nullable).then_some(0)),
            Self::Duration(builder) => builder.append_option((!nullable).then_some(0)),
            Self::Text(builder) => builder.append_option((!nullable).then_some("")),
            Self::Binary(builder) => builder.append_option((!nullable).then_some(&[][..])),
        }
    }

    /// The cells appended so far; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef {
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
            Self::Decimal128(builder) => Arc::new(builder.finish()),
            Self::Decimal256(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Duration(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
        }
    }
}
