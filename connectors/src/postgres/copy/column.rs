//! One column of a result, as it grows: cells in PostgreSQL's binary form.
//!
//! PostgreSQL 18 source: the `…send` functions of src/backend/utils/adt.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder,
    TimestampMicrosecondBuilder, UInt32Builder,
};
use arrow::datatypes::{DataType, Field, TimeUnit};
use schemars::JsonSchema;
use serde::Deserialize;

use super::numeric::{decimal128, decimal256};

/// Why a cell does not fit its column; holds no value.
pub(crate) type Misfit = &'static str;

pub(super) const OTHER_TYPE: Misfit = "its value is not of the column's type: the table has changed";
pub(super) const NOT_A_NUMBER: Misfit = "its number is NaN, infinite, or has more digits than the column";
pub(super) const NOT_TEXT: Misfit = "its text is not valid UTF-8";
const UNREPRESENTABLE: Misfit = "Arrow cannot hold its date or time (unrepresentable decides what becomes of it)";

/// Days and microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_US: i64 = 946_684_800_000_000;
const DAY_US: i64 = 86_400_000_000;

/// What becomes of dates and times that Arrow cannot hold: `infinity`, `-infinity`, the time `24:00:00`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unrepresentable {
    /// They make a bad row.
    #[default]
    Error,
    /// They become NULL; in a key column they make a bad row.
    Null,
}

/// The builder of one column.
pub(crate) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt32(UInt32Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder, u8, u8),
    Decimal256(Box<Decimal256Builder>, u8, u8),
    Date(Date32Builder, Unrepresentable),
    Time(Time64MicrosecondBuilder, Unrepresentable),
    Timestamp(TimestampMicrosecondBuilder, Unrepresentable),
    Text(StringBuilder),
    Binary(BinaryBuilder),
}

impl ColumnBuilder {
    /// An empty column for a field.
    ///
    /// # Errors
    /// `Bug` for a type that no column of PostgreSQL has.
    pub(crate) fn new(field: &Field, unrepresentable: Unrepresentable) -> Result<Self> {
        Ok(match field.data_type() {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int16 => Self::Int16(Int16Builder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::UInt32 => Self::UInt32(UInt32Builder::new()),
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
            DataType::Date32 => Self::Date(Date32Builder::new(), unrepresentable),
            DataType::Time64(TimeUnit::Microsecond) => Self::Time(Time64MicrosecondBuilder::new(), unrepresentable),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()), unrepresentable)
            }
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Binary(BinaryBuilder::new()),
            other => return Err(Error::bug(format!("column {} of PostgreSQL has the type {other}", field.name()))),
        })
    }

    /// Appends a cell; false when it became NULL. When it does not fit, nothing is appended.
    pub(crate) fn append_binary(&mut self, cell: &[u8]) -> Result<bool, Misfit> {
        match self {
            Self::Boolean(builder) => builder.append_value(u8::from_be_bytes(exactly(cell)?) != 0),
            Self::Int16(builder) => builder.append_value(i16::from_be_bytes(exactly(cell)?)),
            Self::Int32(builder) => builder.append_value(i32::from_be_bytes(exactly(cell)?)),
            Self::Int64(builder) => builder.append_value(i64::from_be_bytes(exactly(cell)?)),
            Self::UInt32(builder) => builder.append_value(u32::from_be_bytes(exactly(cell)?)),
            Self::Float32(builder) => builder.append_value(f32::from_be_bytes(exactly(cell)?)),
            Self::Float64(builder) => builder.append_value(f64::from_be_bytes(exactly(cell)?)),
            Self::Decimal128(builder, precision, scale) => {
                builder.append_value(decimal128(cell, *precision, *scale).ok_or(NOT_A_NUMBER)?);
            }
            Self::Decimal256(builder, precision, scale) => {
                builder.append_value(decimal256(cell, *precision, *scale).ok_or(NOT_A_NUMBER)?);
            }
            Self::Date(builder, policy) => {
                let days = i32::from_be_bytes(exactly(cell)?);
                let is_finite = days != i32::MAX && days != i32::MIN;
                let days = days.checked_add(EPOCH_DAYS).filter(|_| is_finite);
                return policy.append(days, |days| builder.append_option(days));
            }
            Self::Time(builder, policy) => {
                let us = i64::from_be_bytes(exactly(cell)?);
                return policy.append((us < DAY_US).then_some(us), |us| builder.append_option(us));
            }
            Self::Timestamp(builder, policy) => {
                let us = i64::from_be_bytes(exactly(cell)?);
                let is_finite = us != i64::MAX && us != i64::MIN;
                let us = us.checked_add(EPOCH_US).filter(|_| is_finite);
                return policy.append(us, |us| builder.append_option(us));
            }
            Self::Text(builder) => builder.append_value(std::str::from_utf8(cell).map_err(|_| NOT_TEXT)?),
            Self::Binary(builder) => builder.append_value(cell),
        }
        Ok(true)
    }

    /// Appends a NULL.
    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int16(builder) => builder.append_null(),
            Self::Int32(builder) => builder.append_null(),
            Self::Int64(builder) => builder.append_null(),
            Self::UInt32(builder) => builder.append_null(),
            Self::Float32(builder) => builder.append_null(),
            Self::Float64(builder) => builder.append_null(),
            Self::Decimal128(builder, ..) => builder.append_null(),
            Self::Decimal256(builder, ..) => builder.append_null(),
            Self::Date(builder, _) => builder.append_null(),
            Self::Time(builder, _) => builder.append_null(),
            Self::Timestamp(builder, _) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
        }
    }

    /// The cells appended so far; the column is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::UInt32(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal128(builder, ..) => Arc::new(builder.finish()),
            Self::Decimal256(builder, ..) => Arc::new(builder.finish()),
            Self::Date(builder, _) => Arc::new(builder.finish()),
            Self::Time(builder, _) => Arc::new(builder.finish()),
            Self::Timestamp(builder, _) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
        }
    }
}

impl Unrepresentable {
    pub(super) fn append<T>(self, value: Option<T>, append: impl FnOnce(Option<T>)) -> Result<bool, Misfit> {
        if value.is_none() && self == Self::Error {
            return Err(UNREPRESENTABLE);
        }
        let is_there = value.is_some();
        append(value);
        Ok(is_there)
    }
}

fn exactly<const N: usize>(cell: &[u8]) -> Result<[u8; N], Misfit> {
    cell.try_into().map_err(|_| OTHER_TYPE)
}
