//! What scripts give, as columns of a declared type. Nothing is converted that would lose something.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, RelationName, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use rhai::{Dynamic, ImmutableString};

use super::decimal::Decimal;
use crate::sql::Expression;

/// A column that a script gives.
#[derive(Debug, Clone)]
pub(in super::super) struct Output {
    pub(super) name: String,
    pub(super) data_type: DataType,
    /// The type as it was written, for people.
    sql_type: String,
}

impl Output {
    /// Checks the type.
    ///
    /// # Errors
    /// `Config` when it is no SQL type, or none that a script can give.
    pub(in super::super) fn new(name: &str, sql_type: &str) -> Result<Self> {
        let nothing = Relation::new(RelationName::table("nothing"), Arc::new(Schema::empty()), &[] as &[&str], 1)?;
        let typed = Expression::constant(&serde_json::Value::Null)?.cast_to(sql_type)?.bind(&nothing)?;
        let data_type = typed.data_type().clone();
        if Column::of(&data_type).is_none() {
            return Err(Error::config(format!("a script gives no values of type {sql_type}"))
                .with_hint("it gives boolean, whole numbers, double, decimal, varchar, dates and times"));
        }
        Ok(Self { name: name.to_owned(), data_type, sql_type: sql_type.to_owned() })
    }

    /// An empty column.
    pub(super) fn column(&self) -> Result<Column> {
        Column::of(&self.data_type).ok_or_else(|| Error::bug("a type was checked and is another now"))
    }

    /// Why a value is not one of the column.
    pub(super) fn mismatch(&self, why: &str) -> String {
        format!("the script gives {why}, and the type is {}", self.sql_type)
    }
}

/// The values of a column, as they come.
pub(super) enum Column {
    Flags(Vec<Option<bool>>),
    Integers(Vec<Option<i64>>, DataType),
    Floats(Vec<Option<f64>>, DataType),
    Decimals(Vec<Option<i128>>, u8, i8),
    Texts(Vec<Option<ImmutableString>>, DataType),
}

impl Column {
    fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Flags(Vec::new()),
            kind if kind.is_integer() => Self::Integers(Vec::new(), kind.clone()),
            DataType::Float32 | DataType::Float64 => Self::Floats(Vec::new(), data_type.clone()),
            DataType::Decimal128(precision, scale) if *scale >= 0 => Self::Decimals(Vec::new(), *precision, *scale),
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..) => Self::Texts(Vec::new(), data_type.clone()),
            _ => return None,
        })
    }

    /// Puts NULL.
    pub(super) fn put_null(&mut self) {
        match self {
            Self::Flags(values) => values.push(None),
            Self::Integers(values, _) => values.push(None),
            Self::Floats(values, _) => values.push(None),
            Self::Decimals(values, ..) => values.push(None),
            Self::Texts(values, _) => values.push(None),
        }
    }

    /// Puts what a script gave; `()` is NULL.
    ///
    /// # Errors
    /// What it is instead, when it is none of the column's type; nothing is put then.
    pub(super) fn put(&mut self, value: Dynamic) -> Result<(), &'static str> {
        if value.is_unit() {
            self.put_null();
            return Ok(());
        }
        let what = kind(&value);
        match self {
            Self::Flags(values) => values.push(Some(value.as_bool().map_err(|_| what)?)),
            Self::Integers(values, data_type) => values.push(Some(integer(&value, data_type)?)),
            Self::Floats(values, _) => {
                let float = value.as_float().ok().or_else(|| value.as_int().ok().and_then(exact_float));
                values.push(Some(float.ok_or(what)?));
            }
            Self::Decimals(values, precision, scale) => {
                let decimal = value.clone().try_cast::<Decimal>();
                let decimal =
                    decimal.or_else(|| value.as_int().ok().map(|units| Decimal { units: units.into(), scale: 0 }));
                let units = decimal.ok_or(what)?.at_scale(u32::from(scale.unsigned_abs()));
                let units = units.ok_or("a decimal with more digits behind the point (round it)")?;
                let fits = 10_u128.checked_pow(u32::from(*precision)).is_none_or(|bound| units.unsigned_abs() < bound);
                if !fits {
                    return Err("a decimal with more digits");
                }
                values.push(Some(units));
            }
            Self::Texts(values, _) => {
                let text = match value.as_char() {
                    Ok(letter) => letter.to_string().into(),
                    Err(_) => value.into_immutable_string().map_err(|_| what)?,
                };
                values.push(Some(text));
            }
        }
        Ok(())
    }

    /// The column, and the rows whose text is no value of the type, rising.
    pub(super) fn finish(self) -> Result<(ArrayRef, Vec<usize>)> {
        let typed = |values: ArrayRef, data_type: &DataType| {
            cast(&values, data_type).map_err(|error| Error::bug("values of a script have no type").with_source(error))
        };
        let none = Vec::new();
        Ok(match self {
            Self::Flags(values) => (Arc::new(BooleanArray::from(values)), none),
            Self::Integers(values, data_type) => (typed(Arc::new(Int64Array::from(values)), &data_type)?, none),
            Self::Floats(values, data_type) => (typed(Arc::new(Float64Array::from(values)), &data_type)?, none),
            Self::Decimals(values, precision, scale) => {
                let values = Decimal128Array::from(values).with_precision_and_scale(precision, scale);
                let values =
                    values.map_err(|error| Error::bug("decimals of a script do not fit").with_source(error))?;
                (Arc::new(values), none)
            }
            Self::Texts(values, data_type) => {
                let texts: StringArray = values.iter().map(|text| text.as_ref().map(ImmutableString::as_str)).collect();
                let texts: ArrayRef = Arc::new(texts);
                let made = typed(texts.clone(), &data_type)?;
                let failed = (0..texts.len()).filter(|&row| texts.is_valid(row) && made.is_null(row)).collect();
                (made, failed)
            }
        })
    }
}

fn integer(value: &Dynamic, data_type: &DataType) -> Result<i64, &'static str> {
    let number = match value.clone().try_cast::<Decimal>() {
        Some(decimal) => {
            let whole = decimal.at_scale(0).ok_or("a decimal that is no whole number (round it)")?;
            i64::try_from(whole).map_err(|_| "a number that is too large")?
        }
        None => value.as_int().map_err(|_| kind(value))?,
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

/// What a value is, for people.
pub(super) fn kind(value: &Dynamic) -> &'static str {
    if value.is_int() {
        "a whole number"
    } else if value.is_float() {
        "a floating point number"
    } else if value.is_bool() {
        "a boolean"
    } else if value.is_string() || value.is_char() {
        "a text"
    } else if value.is_array() {
        "a list"
    } else if value.is_map() {
        "a map"
    } else if value.is_unit() {
        "nothing"
    } else if value.is::<Decimal>() {
        "a decimal"
    } else {
        "another thing"
    }
}
