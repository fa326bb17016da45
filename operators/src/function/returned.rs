//! What scripts and components give, as columns of a declared type. Nothing is converted that would lose something.

use std::fmt;
use std::sync::Arc;

use aqueduct_model::{Error, Relation, RelationName, Result};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, TimeUnit};

use super::decimal::Decimal;
use super::value::Value;
use crate::sql::Expression;

/// Who gives the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Giver {
    /// Dates and times come as texts.
    Script,
    /// Dates and times come as numbers, and bytes come too.
    Component,
}

impl fmt::Display for Giver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Script => "script",
            Self::Component => "component",
        })
    }
}

/// A column that is given.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) data_type: DataType,
    /// The type as it was written, for people.
    sql_type: String,
    giver: Giver,
}

impl Output {
    /// Checks the type.
    ///
    /// # Errors
    /// `Config` when it is no SQL type, or none that can be given.
    pub(super) fn new(name: &str, sql_type: &str, giver: Giver) -> Result<Self> {
        let nothing = Relation::new(RelationName::table("nothing"), Arc::new(Schema::empty()), &[] as &[&str], 1)?;
        let typed = Expression::constant(&serde_json::Value::Null)?.cast_to(sql_type)?.bind(&nothing)?;
        let data_type = typed.data_type().clone();
        if Column::of(&data_type, giver).is_none() {
            let bytes = if giver == Giver::Component { ", bytes" } else { "" };
            return Err(Error::config(format!("a {giver} gives no values of type {sql_type}")).with_hint(format!(
                "it gives boolean, whole numbers, double, decimal, varchar{bytes}, dates and times"
            )));
        }
        Ok(Self { name: name.to_owned(), data_type, sql_type: sql_type.to_owned(), giver })
    }

    /// The columns that `returns` names.
    ///
    /// # Errors
    /// As [`Output::new`], with the setting.
    pub(super) fn all(returns: &[(String, String)], giver: Giver) -> Result<Vec<Self>> {
        let output = |(name, sql_type): &(String, String)| {
            Self::new(name, sql_type, giver).map_err(|error| error.with_setting(format!("returns.{name}")))
        };
        returns.iter().map(output).collect()
    }

    /// An empty column.
    pub(super) fn column(&self) -> Result<Column> {
        Column::of(&self.data_type, self.giver).ok_or_else(|| Error::bug("a type was checked and is another now"))
    }

    /// Why a value is not one of the column.
    pub(super) fn mismatch(&self, why: &str) -> String {
        format!("the {} gives {why}, and the type is {}", self.giver, self.sql_type)
    }

    /// Why there is no value.
    pub(super) fn missing(&self) -> String {
        format!("the {} does not give it", self.giver)
    }
}

/// The values of a column, as they come.
pub(super) enum Column {
    Flags(Vec<Option<bool>>),
    Integers(Vec<Option<i64>>, DataType),
    Floats(Vec<Option<f64>>, DataType),
    Decimals(Vec<Option<i128>>, u8, i8),
    /// Texts; with another type than that of text, what is read from them.
    Texts(Vec<Option<String>>, DataType),
    Bytes(Vec<Option<Vec<u8>>>, DataType),
    /// Dates and times as numbers, in the unit of the type.
    Moments(Vec<Option<i64>>, DataType),
}

impl Column {
    fn of(data_type: &DataType, giver: Giver) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Flags(Vec::new()),
            kind if kind.is_integer() => Self::Integers(Vec::new(), kind.clone()),
            DataType::Float32 | DataType::Float64 => Self::Floats(Vec::new(), data_type.clone()),
            DataType::Decimal128(precision, scale) if *scale >= 0 => Self::Decimals(Vec::new(), *precision, *scale),
            DataType::Utf8 | DataType::LargeUtf8 => Self::Texts(Vec::new(), data_type.clone()),
            DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..) => match giver {
                Giver::Script => Self::Texts(Vec::new(), data_type.clone()),
                Giver::Component => Self::Moments(Vec::new(), data_type.clone()),
            },
            DataType::Binary | DataType::LargeBinary if giver == Giver::Component => {
                Self::Bytes(Vec::new(), data_type.clone())
            }
            _ => return None,
        })
    }

    /// Puts NULL.
    pub(super) fn put_null(&mut self) {
        match self {
            Self::Flags(values) => values.push(None),
            Self::Integers(values, _) | Self::Moments(values, _) => values.push(None),
            Self::Floats(values, _) => values.push(None),
            Self::Decimals(values, ..) => values.push(None),
            Self::Texts(values, _) => values.push(None),
            Self::Bytes(values, _) => values.push(None),
        }
    }

    /// Puts a value.
    ///
    /// # Errors
    /// What it is instead, when it is none of the column's type; nothing is put then.
    pub(super) fn put(&mut self, value: Value) -> Result<(), &'static str> {
        if matches!(value, Value::Null) {
            self.put_null();
            return Ok(());
        }
        match (self, value) {
            (Self::Flags(values), Value::Flag(flag)) => values.push(Some(flag)),
            (Self::Integers(values, data_type), value) => values.push(Some(integer(&value, data_type)?)),
            (Self::Floats(values, _), Value::Float(float)) => values.push(Some(float)),
            (Self::Floats(values, _), Value::Integer(number)) => {
                values.push(Some(exact_float(number).ok_or("a whole number")?));
            }
            (Self::Decimals(values, precision, scale), value) => {
                values.push(Some(units(&value, *precision, u32::from(scale.unsigned_abs()))?));
            }
            (Self::Texts(values, _), Value::Text(text)) => values.push(Some(text)),
            (Self::Bytes(values, _), Value::Bytes(bytes)) => values.push(Some(bytes)),
            (Self::Moments(values, data_type), value) => values.push(Some(moment(&value, data_type)?)),
            (_, other) => return Err(other.kind()),
        }
        Ok(())
    }

    /// The column, and the rows whose text is no value of the type, rising.
    pub(super) fn finish(self) -> Result<(ArrayRef, Vec<usize>)> {
        let typed = |values: ArrayRef, data_type: &DataType| {
            cast(&values, data_type)
                .map_err(|error| Error::bug("values that were given have no type").with_source(error))
        };
        let none = Vec::new();
        Ok(match self {
            Self::Flags(values) => (Arc::new(BooleanArray::from(values)), none),
            Self::Integers(values, data_type) => (typed(Arc::new(Int64Array::from(values)), &data_type)?, none),
            Self::Floats(values, data_type) => (typed(Arc::new(Float64Array::from(values)), &data_type)?, none),
            Self::Decimals(values, precision, scale) => {
                let values = Decimal128Array::from(values).with_precision_and_scale(precision, scale);
                let values =
                    values.map_err(|error| Error::bug("decimals that were given do not fit").with_source(error))?;
                (Arc::new(values), none)
            }
            Self::Texts(values, data_type) => {
                let texts: ArrayRef = Arc::new(StringArray::from(values));
                let made = typed(texts.clone(), &data_type)?;
                let failed = (0..texts.len()).filter(|&row| texts.is_valid(row) && made.is_null(row)).collect();
                (made, failed)
            }
            Self::Bytes(values, data_type) => {
                let bytes: BinaryArray = values.iter().map(Option::as_deref).collect();
                (typed(Arc::new(bytes), &data_type)?, none)
            }
            Self::Moments(values, data_type) => {
                let mut numbers: ArrayRef = Arc::new(Int64Array::from(values));
                if matches!(data_type, DataType::Date32 | DataType::Time32(_)) {
                    numbers = typed(numbers, &DataType::Int32)?;
                }
                (typed(numbers, &data_type)?, none)
            }
        })
    }
}

fn integer(value: &Value, data_type: &DataType) -> Result<i64, &'static str> {
    let number = match value {
        Value::Decimal(decimal) => {
            let whole = decimal.at_scale(0).ok_or("a decimal that is no whole number (round it)")?;
            i64::try_from(whole).map_err(|_| "a number that is too large")?
        }
        Value::Integer(number) => *number,
        other => return Err(other.kind()),
    };
    let (least, greatest) = match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        DataType::UInt64 => (0, i64::MAX),
        _ => (i64::MIN, i64::MAX),
    };
    if (least..=greatest).contains(&number) { Ok(number) } else { Err("a number that is too large or too small") }
}

/// A whole number as a float, when nothing is lost.
fn exact_float(value: i64) -> Option<f64> {
    const EXACT_MAX: u64 = 1 << f64::MANTISSA_DIGITS;
    (value.unsigned_abs() <= EXACT_MAX).then_some(value as f64)
}

fn units(value: &Value, precision: u8, scale: u32) -> Result<i128, &'static str> {
    let decimal = match value {
        Value::Decimal(decimal) => *decimal,
        Value::Integer(number) => Decimal { units: (*number).into(), scale: 0 },
        other => return Err(other.kind()),
    };
    let units = decimal.at_scale(scale).ok_or("a decimal with more digits behind the point (round it)")?;
    let fits = 10_u128.checked_pow(u32::from(precision)).is_none_or(|bound| units.unsigned_abs() < bound);
    if fits { Ok(units) } else { Err("a decimal with more digits") }
}

/// A date or time in the unit of a type.
fn moment(value: &Value, data_type: &DataType) -> Result<i64, &'static str> {
    const DAY_MS: i64 = 86_400_000;
    const DAY_NS: u64 = 86_400_000_000_000;
    match (value, data_type) {
        (Value::Date(days), DataType::Date32) => Ok((*days).into()),
        (Value::Date(days), DataType::Date64) => Ok(i64::from(*days) * DAY_MS),
        (Value::Time(time), DataType::Time32(unit) | DataType::Time64(unit)) if *time < DAY_NS => {
            exact((*time).into(), *unit)
        }
        (Value::Time(_), DataType::Time32(_) | DataType::Time64(_)) => Err("a time of day behind the end of the day"),
        (Value::Instant(time), DataType::Timestamp(unit, Some(_)))
        | (Value::DateTime(time), DataType::Timestamp(unit, None)) => exact(*time, *unit),
        (other, _) => Err(other.kind()),
    }
}

/// Nanoseconds in another unit, when nothing is lost.
fn exact(nanoseconds: i128, unit: TimeUnit) -> Result<i64, &'static str> {
    let per_unit = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    if nanoseconds % per_unit != 0 {
        return Err("a time with more digits behind the second (round it)");
    }
    i64::try_from(nanoseconds / per_unit).map_err(|_| "a time that is too far away")
}
