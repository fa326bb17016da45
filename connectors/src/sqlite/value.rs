//! From SQLite's cells straight into Arrow builders.
//!
//! A row is looked at twice: first whether every cell fits its column, then it is appended. So a row that does not fit
//! leaves no trace in the builders and can be refused whole.

use aqueduct_model::{Error, Result};
use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use rusqlite::types::ValueRef;
use std::fmt::Write as _;
use std::sync::Arc;

use super::types::Kind;

/// Largest integer up to which every integer is a double.
const EXACT_IN_DOUBLE: u64 = 1 << 53;
/// Decimal digits that survive in a double, whatever they are.
const DIGITS_IN_DOUBLE: usize = 15;

/// How the columns of a table are read: one kind per column, and which may not be null.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) required: Vec<bool>,
}

impl Layout {
    /// The first column whose cell does not fit it.
    pub(crate) fn misfit<'a>(&self, cell: impl Fn(usize) -> ValueRef<'a>) -> Option<usize> {
        (0..self.kinds.len()).find(|&i| !self.fits(i, cell(i)))
    }

    /// True when a cell fits a column.
    pub(crate) fn fits(&self, column: usize, value: ValueRef<'_>) -> bool {
        if matches!(value, ValueRef::Null) { !self.required[column] } else { fits(self.kinds[column], value) }
    }

    /// Says why a cell does not fit, without saying what it holds.
    pub(crate) fn reason(&self, column: usize, name: &str, value: ValueRef<'_>) -> String {
        let found = match value {
            ValueRef::Null => "null".to_owned(),
            other => format!("{:?} value", other.data_type()).to_lowercase(),
        };
        format!("column {name} holds a {found}; expected {}", self.kinds[column].expectation())
    }
}

fn fits(kind: Kind, value: ValueRef<'_>) -> bool {
    match (kind, value) {
        (_, ValueRef::Null)
        | (Kind::Int64, ValueRef::Integer(_))
        | (Kind::Float64, ValueRef::Real(_))
        | (Kind::Binary, ValueRef::Blob(_))
        | (Kind::Text, ValueRef::Integer(_) | ValueRef::Real(_)) => true,
        (Kind::Float64, ValueRef::Integer(i)) => i.unsigned_abs() <= EXACT_IN_DOUBLE,
        (Kind::Text, ValueRef::Text(text)) => std::str::from_utf8(text).is_ok(),
        (Kind::Boolean, ValueRef::Integer(i)) => i == 0 || i == 1,
        (Kind::Decimal { precision, scale }, value) => decimal(value, precision, scale).is_some(),
        (Kind::Date, value) => date(value).is_some(),
        (Kind::Timestamp, value) => timestamp(value).is_some(),
        _ => false,
    }
}

/// The cell as a decimal with `scale` digits behind the point, when it is one exactly.
///
/// A double carries fifteen decimal digits; it is read with those, so that 0.1 + 0.2 is 0.3, and must then fit.
fn decimal(value: ValueRef<'_>, precision: u8, scale: i8) -> Option<i128> {
    let limit = 10i128.pow(u32::from(precision));
    let factor = 10i128.pow(u32::from(scale.unsigned_abs()));
    let digits = match value {
        ValueRef::Integer(i) => i128::from(i).checked_mul(factor)?,
        ValueRef::Real(real) => {
            let rounded = (real * factor as f64).round();
            if rounded.abs() < EXACT_IN_DOUBLE as f64 && rounded / factor as f64 == real {
                rounded as i128
            } else {
                decimal_text(&format!("{real:.*e}", DIGITS_IN_DOUBLE - 1), scale)?
            }
        }
        ValueRef::Text(text) => decimal_text(std::str::from_utf8(text).ok()?.trim(), scale)?,
        _ => return None,
    };
    (digits.abs() < limit).then_some(digits)
}

/// Reads `-12.340`, `1.234e1`: exact, or nothing.
fn decimal_text(text: &str, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let mut shift = i32::from(scale) - fraction.len() as i32 + exponent;
    while shift > 0 && number != 0 {
        number = number.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 && number != 0 {
        if number % 10 != 0 {
            return None;
        }
        number /= 10;
        shift += 1;
    }
    Some(if negative { -number } else { number })
}

/// Days since 1970.
fn date(value: ValueRef<'_>) -> Option<i32> {
    let text = value.as_str().ok()?.trim();
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Microseconds since 1970, in UTC where the text names an offset.
fn timestamp(value: ValueRef<'_>) -> Option<i64> {
    let text = value.as_str().ok()?.trim();
    if let Ok(with_offset) = DateTime::parse_from_rfc3339(text) {
        return Some(with_offset.timestamp_micros());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, format) {
            return Some(local.and_utc().timestamp_micros());
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())
}

/// Writes a number as text: integers in full, doubles so that they read back the same.
fn write_number(value: ValueRef<'_>, text: &mut String) {
    let written = match value {
        ValueRef::Integer(i) => write!(text, "{i}"),
        ValueRef::Real(real) => write!(text, "{real:?}"),
        _ => Ok(()),
    };
    written.expect("writing into a String cannot fail");
}

enum Column {
    Int64(Int64Builder),
    Float64(Float64Builder),
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Boolean(BooleanBuilder),
    Decimal(Decimal128Builder, u8, i8),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
}

impl Column {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int64 => Self::Int64(Int64Builder::new()),
            Kind::Float64 => Self::Float64(Float64Builder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Binary => Self::Binary(BinaryBuilder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Decimal { precision, scale } => Self::Decimal(
                Decimal128Builder::new().with_data_type(Kind::Decimal { precision, scale }.data_type()),
                precision,
                scale,
            ),
            Kind::Date => Self::Date(Date32Builder::new()),
            Kind::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
        }
    }

    /// Appends a cell that fits; one that does not becomes null.
    fn push(&mut self, value: ValueRef<'_>) {
        match self {
            Self::Int64(builder) => builder.append_option(value.as_i64().ok()),
            Self::Float64(builder) => builder.append_option(match value {
                ValueRef::Real(real) => Some(real),
                ValueRef::Integer(i) => Some(i as f64),
                _ => None,
            }),
            Self::Text(builder) => match value {
                ValueRef::Text(text) => builder.append_option(std::str::from_utf8(text).ok()),
                ValueRef::Integer(_) | ValueRef::Real(_) => {
                    let mut text = String::new();
                    write_number(value, &mut text);
                    builder.append_value(text);
                }
                _ => builder.append_null(),
            },
            Self::Binary(builder) => builder.append_option(value.as_blob().ok()),
            Self::Boolean(builder) => builder.append_option(value.as_i64().ok().map(|i| i != 0)),
            Self::Decimal(builder, precision, scale) => builder.append_option(decimal(value, *precision, *scale)),
            Self::Date(builder) => builder.append_option(date(value)),
            Self::Timestamp(builder) => builder.append_option(timestamp(value)),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, ..) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Rows being collected, column by column.
pub(crate) struct Rows {
    schema: SchemaRef,
    columns: Vec<Column>,
    len: usize,
    bytes: usize,
}

impl Rows {
    /// No rows yet.
    pub(crate) fn new(schema: SchemaRef, layout: &Layout) -> Self {
        Self { schema, columns: layout.kinds.iter().map(|&kind| Column::new(kind)).collect(), len: 0, bytes: 0 }
    }

    /// Appends a row that fits ([`Layout::misfit`] found nothing).
    pub(crate) fn push<'a>(&mut self, cell: impl Fn(usize) -> ValueRef<'a>) {
        for (i, column) in self.columns.iter_mut().enumerate() {
            let value = cell(i);
            self.bytes += match value {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() + size_of::<i32>(),
                _ => size_of::<i64>(),
            };
            column.push(value);
        }
        self.len += 1;
    }

    /// The number of rows so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// About the bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows as a batch.
    ///
    /// # Errors
    /// `Bug` when a required column holds a null that `misfit` should have found.
    pub(crate) fn finish(mut self) -> Result<RecordBatch> {
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        RecordBatch::try_new(self.schema, columns).map_err(|e| Error::bug("cannot make a batch of rows").with_source(e))
    }
}

/// A cell as JSON, for a bad row that is kept aside.
pub(crate) fn to_json(value: ValueRef<'_>) -> serde_json::Value {
    match value {
        ValueRef::Null => serde_json::Value::Null,
        ValueRef::Integer(i) => i.into(),
        ValueRef::Real(real) => format!("{real:?}").into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(blob) => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(blob).into()
        }
    }
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
