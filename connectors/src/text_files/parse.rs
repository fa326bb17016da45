//! Columns of text become columns of types.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::timezone::Tz;
use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanBuilder, Decimal128Array, NullBufferBuilder, PrimitiveArray, StringArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use super::number;
use super::records::Records;

/// Room for a cell of text, to begin with.
const TEXT_BYTES: usize = 16;

/// How cells are read, the same for all columns.
#[derive(Debug, Clone)]
pub(crate) struct CellRules {
    /// Texts that mean NULL.
    pub(crate) null_values: Vec<String>,
    /// Take white space off cells that are not quoted.
    pub(crate) trim: bool,
    /// A cell in quotes is never NULL, whatever its column's type.
    pub(crate) quoted_is_value: bool,
    /// A whole number is a moment, too: so many units of the column since 1970.
    pub(crate) number_is_moment: bool,
}

/// Records whose cell could not be read, in rising order; their cells are NULL in the column.
pub(crate) type Unreadable = Vec<usize>;

impl CellRules {
    /// The text of a cell, `None` for NULL. In a column of text, quotes keep a cell from being NULL.
    pub(crate) fn value<'a>(&self, (text, quoted): (&'a str, bool), is_text: bool) -> Option<&'a str> {
        if quoted && (is_text || self.quoted_is_value) {
            return Some(text);
        }
        let text = if self.trim && !quoted { text.trim() } else { text };
        let is_null = match self.null_values.as_slice() {
            [only] => only == text,
            several => several.iter().any(|null| null == text),
        };
        (!is_null).then_some(text)
    }

    /// The texts of one column; `None` for NULL.
    fn values<'a>(
        &'a self,
        records: Records<'a>,
        column: usize,
    ) -> impl ExactSizeIterator<Item = Option<&'a str>> + 'a {
        records.column(column).map(move |cell| self.value(cell, false))
    }

    /// Reads one column.
    ///
    /// # Errors
    /// `Bug` for a type that no setting leads to.
    pub(crate) fn column(
        &self,
        records: Records<'_>,
        column: usize,
        kind: &DataType,
    ) -> Result<(ArrayRef, Unreadable)> {
        match kind {
            DataType::Utf8 => self.strings(records, column),
            DataType::Boolean => Ok(self.bools(records, column)),
            DataType::Int8 => Ok(self.parsed::<Int8Type>(records, column)),
            DataType::Int16 => Ok(self.parsed::<Int16Type>(records, column)),
            DataType::Int32 => Ok(self.parsed::<Int32Type>(records, column)),
            DataType::Int64 => Ok(self.parsed::<Int64Type>(records, column)),
            DataType::UInt8 => Ok(self.parsed::<UInt8Type>(records, column)),
            DataType::UInt16 => Ok(self.parsed::<UInt16Type>(records, column)),
            DataType::UInt32 => Ok(self.parsed::<UInt32Type>(records, column)),
            DataType::UInt64 => Ok(self.parsed::<UInt64Type>(records, column)),
            DataType::Float32 => Ok(self.parsed::<Float32Type>(records, column)),
            DataType::Float64 => Ok(self.parsed::<Float64Type>(records, column)),
            DataType::Date32 => Ok(self.parsed::<Date32Type>(records, column)),
            DataType::Time64(TimeUnit::Microsecond) => Ok(self.parsed::<Time64MicrosecondType>(records, column)),
            DataType::Decimal128(precision, scale) => self.decimals(records, column, *precision, *scale),
            DataType::Timestamp(unit, zone) => self.timestamps(records, column, *unit, zone.as_deref()),
            DataType::Binary => self.binaries(records, column),
            other => Err(Error::bug(format!("a CSV column of type {other}"))),
        }
    }

    fn primitives<T: ArrowPrimitiveType>(
        &self,
        records: Records<'_>,
        column: usize,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> (PrimitiveArray<T>, Unreadable) {
        let mut values = Vec::with_capacity(records.len());
        let mut nulls = NullBufferBuilder::new(records.len());
        let mut unreadable = Vec::new();
        for (record, cell) in self.values(records, column).enumerate() {
            let Some(text) = cell else {
                values.push(T::default_value());
                nulls.append_null();
                continue;
            };
            match parse(text) {
                Some(value) => {
                    values.push(value);
                    nulls.append_non_null();
                }
                None => {
                    unreadable.push(record);
                    values.push(T::default_value());
                    nulls.append_null();
                }
            }
        }
        (PrimitiveArray::new(ScalarBuffer::from(values), nulls.finish()), unreadable)
    }

    fn parsed<T: Parser>(&self, records: Records<'_>, column: usize) -> (ArrayRef, Unreadable) {
        let (array, unreadable) = self.primitives::<T>(records, column, T::parse);
        (Arc::new(array), unreadable)
    }

    fn decimals(
        &self,
        records: Records<'_>,
        column: usize,
        precision: u8,
        scale: i8,
    ) -> Result<(ArrayRef, Unreadable)> {
        let places = scale.unsigned_abs();
        let (array, unreadable) = self.primitives(records, column, |text| number::decimal(text, precision, places));
        let array: Decimal128Array = array;
        let array = array
            .with_precision_and_scale(precision, scale)
            .map_err(|error| Error::bug("a decimal type was not checked").with_source(error))?;
        Ok((Arc::new(array), unreadable))
    }

    fn timestamps(
        &self,
        records: Records<'_>,
        column: usize,
        unit: TimeUnit,
        zone: Option<&str>,
    ) -> Result<(ArrayRef, Unreadable)> {
        // Arrow knows `UTC` by name only where a time zone database is built in.
        let tz: Tz = zone
            .filter(|zone| *zone != "UTC")
            .unwrap_or("+00:00")
            .parse()
            .map_err(|error| Error::bug("a time zone was not checked").with_source(error))?;
        if self.number_is_moment {
            let units = |text: &str| whole(text).or_else(|| units_of(&tz, text, unit));
            return Ok(self.moments(records, column, unit, zone, units));
        }
        Ok(self.moments(records, column, unit, zone, |text| units_of(&tz, text, unit)))
    }

    fn moments(
        &self,
        records: Records<'_>,
        column: usize,
        unit: TimeUnit,
        zone: Option<&str>,
        units: impl Fn(&str) -> Option<i64>,
    ) -> (ArrayRef, Unreadable) {
        let zone: Option<Arc<str>> = zone.map(Into::into);
        match unit {
            TimeUnit::Second => {
                let (array, unreadable) = self.primitives::<TimestampSecondType>(records, column, units);
                (Arc::new(array.with_timezone_opt(zone)), unreadable)
            }
            TimeUnit::Millisecond => {
                let (array, unreadable) = self.primitives::<TimestampMillisecondType>(records, column, units);
                (Arc::new(array.with_timezone_opt(zone)), unreadable)
            }
            TimeUnit::Microsecond => {
                let (array, unreadable) = self.primitives::<TimestampMicrosecondType>(records, column, units);
                (Arc::new(array.with_timezone_opt(zone)), unreadable)
            }
            TimeUnit::Nanosecond => {
                let (array, unreadable) = self.primitives::<TimestampNanosecondType>(records, column, units);
                (Arc::new(array.with_timezone_opt(zone)), unreadable)
            }
        }
    }

    fn bools(&self, records: Records<'_>, column: usize) -> (ArrayRef, Unreadable) {
        let mut builder = BooleanBuilder::with_capacity(records.len());
        let mut unreadable = Vec::new();
        for (record, cell) in self.values(records, column).enumerate() {
            let value = cell.map(bool_of);
            if value == Some(None) {
                unreadable.push(record);
            }
            builder.append_option(value.flatten());
        }
        (Arc::new(builder.finish()), unreadable)
    }

    fn strings(&self, records: Records<'_>, column: usize) -> Result<(ArrayRef, Unreadable)> {
        let mut bytes = Vec::with_capacity(records.len() * TEXT_BYTES);
        let mut offsets = Vec::with_capacity(records.len() + 1);
        offsets.push(0i32);
        let mut nulls = NullBufferBuilder::new(records.len());
        for cell in records.column(column) {
            let text = self.value(cell, true);
            bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
            offsets.push(bytes.len() as i32);
            nulls.append(text.is_some());
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let array = StringArray::try_new(offsets, Buffer::from_vec(bytes), nulls.finish())
            .map_err(|error| Error::bug("checked text is not UTF-8").with_source(error))?;
        Ok((Arc::new(array), Vec::new()))
    }

    fn binaries(&self, records: Records<'_>, column: usize) -> Result<(ArrayRef, Unreadable)> {
        let mut bytes = Vec::new();
        let mut offsets = vec![0i32];
        let mut nulls = NullBufferBuilder::new(records.len());
        let mut unreadable = Vec::new();
        for (record, cell) in self.values(records, column).enumerate() {
            let read = cell.map(|text| number::hex(text, &mut bytes));
            if read == Some(None) {
                unreadable.push(record);
            }
            nulls.append(read == Some(Some(())));
            offsets.push(bytes.len() as i32);
        }
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let array = BinaryArray::try_new(offsets, Buffer::from_vec(bytes), nulls.finish())
            .map_err(|error| Error::bug("cannot build a binary column").with_source(error))?;
        Ok((Arc::new(array), unreadable))
    }
}

/// A date with a time in units since 1970; `None` when it is not one, or finer than the unit.
fn units_of(tz: &Tz, text: &str, unit: TimeUnit) -> Option<i64> {
    let at = string_to_datetime(tz, text).ok()?;
    let nanos = at.timestamp_subsec_nanos();
    match unit {
        TimeUnit::Second => (nanos == 0).then(|| at.timestamp()),
        TimeUnit::Millisecond => (nanos % 1_000_000 == 0).then(|| at.timestamp_millis()),
        TimeUnit::Microsecond => (nanos % 1_000 == 0).then(|| at.timestamp_micros()),
        TimeUnit::Nanosecond => at.timestamp_nanos_opt(),
    }
}

/// A whole number; what has separators is none.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// What people write for truth.
fn bool_of(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["true", "t", "yes", "y", "1"]) {
        Some(true)
    } else if is(&["false", "f", "no", "n", "0"]) {
        Some(false)
    } else {
        None
    }
}
