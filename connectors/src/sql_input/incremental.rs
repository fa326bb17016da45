//! Looking for new rows by a column that grows.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema,
    TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::edge::from_text;

const DAY_S: u64 = 86_400;

/// How new rows are told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// A column that grows: a number, a date or a time. Rows are read in its order, rows with equal values in the order
    /// of the key; rows where it is NULL are not read.
    pub column: String,
    /// The first start begins at this value instead of the smallest one.
    #[serde(default)]
    pub from: Option<String>,
    /// Every look and every restart reads again what lies this far behind the largest value seen: in the column's unit
    /// for numbers, in seconds for dates and times. Catches rows that were committed late; rows come again.
    #[serde(default)]
    pub lookback: u64,
}

impl Incremental {
    /// The column's index.
    ///
    /// # Errors
    /// `Config` when there is no such column.
    pub(super) fn column(&self, relation: &Relation) -> Result<usize> {
        let (column, _) = relation.column(&self.column).map_err(|error| error.with_setting("incremental.column"))?;
        Ok(column)
    }

    /// The edge that `from` is.
    ///
    /// # Errors
    /// `Config` when it is no value of the column's type.
    pub(super) fn first(&self, relation: &Relation, column: usize) -> Result<Option<RecordBatch>> {
        let Some(from) = &self.from else { return Ok(None) };
        let field = relation.columns().field(column);
        let value = from_text(from, field).ok_or_else(|| {
            Error::config(format!("`from` is no value of column {}, which is {}", self.column, field.data_type()))
                .with_setting("incremental.from")
                .with_hint("write it as text: \"1000\", \"2024-01-31\" or \"2024-01-31 12:00:00\" (UTC)")
        })?;
        edge(relation, column, value).map(Some)
    }

    /// The edge that lies `lookback` behind another one; `None` without a lookback.
    ///
    /// # Errors
    /// `Config` when the column is neither a number nor a time.
    pub(super) fn behind(
        &self,
        relation: &Relation,
        column: usize,
        newest: &RecordBatch,
    ) -> Result<Option<RecordBatch>> {
        if self.lookback == 0 {
            return Ok(None);
        }
        let value = lowered(newest.column(0), self.lookback).ok_or_else(|| {
            Error::config("`lookback` needs a column of whole numbers, dates or times")
                .with_setting("incremental.lookback")
        })?;
        edge(relation, column, value).map(Some)
    }
}

fn edge(relation: &Relation, column: usize, value: ArrayRef) -> Result<RecordBatch> {
    let schema = Schema::new(vec![relation.columns().fields()[column].clone()]);
    RecordBatch::try_new(Arc::new(schema), vec![value])
        .map_err(|error| Error::bug("a bound does not have its column's type").with_source(error))
}

/// The value less `by`, or the type's smallest one.
fn lowered(cell: &ArrayRef, by: u64) -> Option<ArrayRef> {
    let signed = i64::try_from(by).unwrap_or(i64::MAX);
    let us = signed.saturating_mul(1_000_000);
    Some(match cell.data_type() {
        DataType::Int8 => less::<Int8Type>(cell, |n| n.saturating_sub(i8::try_from(signed).unwrap_or(i8::MAX))),
        DataType::Int16 => less::<Int16Type>(cell, |n| n.saturating_sub(i16::try_from(signed).unwrap_or(i16::MAX))),
        DataType::Int32 => less::<Int32Type>(cell, |n| n.saturating_sub(i32::try_from(signed).unwrap_or(i32::MAX))),
        DataType::Int64 => less::<Int64Type>(cell, |n| n.saturating_sub(signed)),
        DataType::UInt8 => less::<UInt8Type>(cell, |n| n.saturating_sub(u8::try_from(by).unwrap_or(u8::MAX))),
        DataType::UInt16 => less::<UInt16Type>(cell, |n| n.saturating_sub(u16::try_from(by).unwrap_or(u16::MAX))),
        DataType::UInt32 => less::<UInt32Type>(cell, |n| n.saturating_sub(u32::try_from(by).unwrap_or(u32::MAX))),
        DataType::UInt64 => less::<UInt64Type>(cell, |n| n.saturating_sub(by)),
        &DataType::Decimal128(precision, scale) => {
            let unit = 10i128.checked_pow(u32::try_from(scale).ok()?)?;
            let smallest = 1 - 10i128.checked_pow(u32::from(precision))?;
            let lowered = |n: i128| n.saturating_sub(i128::from(by).saturating_mul(unit)).max(smallest);
            less::<Decimal128Type>(cell, lowered)
        }
        DataType::Date32 => {
            let days = i32::try_from(by.div_ceil(DAY_S)).unwrap_or(i32::MAX);
            less::<Date32Type>(cell, |n| n.saturating_sub(days))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            less::<TimestampMicrosecondType>(cell, |n| n.saturating_sub(us))
        }
        _ => return None,
    })
}

fn less<T: ArrowPrimitiveType>(cell: &ArrayRef, lowered: impl Fn(T::Native) -> T::Native) -> ArrayRef {
    Arc::new(cell.as_primitive::<T>().unary::<_, T>(lowered).with_data_type(cell.data_type().clone()))
}
