//! One total of one group.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Float64Type};

use super::exact::ExactSum;
use crate::sql::Aggregate;

/// Digits that a mean of decimals has behind those of its values.
const MEAN_DIGITS: i8 = 4;

/// What kind of total it is, and of what type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// How many rows, or values.
    Count,
    /// How many different values.
    Distinct,
    /// The least value of that type.
    Min(DataType),
    /// The greatest value of that type.
    Max(DataType),
    /// A sum of whole numbers.
    Sum,
    /// A sum of decimals of that scale.
    DecimalSum(i8),
    /// A sum of floating point numbers.
    FloatSum,
    /// A mean of whole numbers.
    Mean,
    /// A mean of decimals of that scale.
    DecimalMean(i8),
    /// A mean of floating point numbers.
    FloatMean,
}

impl Kind {
    /// The kind of an aggregate over values of that type.
    ///
    /// # Errors
    /// `Config` when it has no such total.
    pub(super) fn of(aggregate: Aggregate, distinct: bool, values: Option<&DataType>) -> Result<Self> {
        let values = match (aggregate, values) {
            (Aggregate::Count, _) if distinct => return Ok(Self::Distinct),
            (Aggregate::Count, _) => return Ok(Self::Count),
            (_, Some(values)) => values,
            (_, None) => return Err(Error::bug("a total without values")),
        };
        Ok(match (aggregate, values) {
            (Aggregate::Min, _) => Self::Min(values.clone()),
            (Aggregate::Max, _) => Self::Max(values.clone()),
            (Aggregate::Sum, values) if values.is_integer() => Self::Sum,
            (_, values) if values.is_integer() => Self::Mean,
            (Aggregate::Sum, DataType::Decimal128(_, scale)) => Self::DecimalSum(*scale),
            (_, DataType::Decimal128(_, scale)) => Self::DecimalMean(*scale),
            (Aggregate::Sum, values) if values.is_floating() => Self::FloatSum,
            (_, values) if values.is_floating() => Self::FloatMean,
            _ => {
                return Err(Error::config(format!("there is no sum and no mean of {values}"))
                    .with_hint("convert it: `sum(cast(x as decimal(18,2)))`"));
            }
        })
    }

    /// The type of the total.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Count | Self::Distinct | Self::Sum => DataType::Int64,
            Self::Min(values) | Self::Max(values) => values.clone(),
            Self::DecimalSum(scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
            Self::DecimalMean(scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, mean_scale(*scale)),
            Self::FloatSum | Self::Mean | Self::FloatMean => DataType::Float64,
        }
    }

    /// False when there always is one.
    pub(super) fn nullable(&self) -> bool {
        !matches!(self, Self::Count | Self::Distinct)
    }

    /// What values are turned into before they are added.
    pub(super) fn prepared(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let wanted = match self {
            Self::Sum | Self::Mean => DataType::Decimal128(20, 0),
            Self::FloatSum | Self::FloatMean => DataType::Float64,
            _ => return Ok(values.clone()),
        };
        cast(values, &wanted).map_err(|error| Error::bug("numbers could not be widened").with_source(error))
    }

    /// True when its values are kept as a set.
    pub(super) fn has_values(&self) -> bool {
        matches!(self, Self::Distinct | Self::Min(_) | Self::Max(_))
    }

    /// True when the value that is wanted is the greatest.
    pub(super) fn is_descending(&self) -> bool {
        matches!(self, Self::Max(_))
    }

    /// The total of no rows.
    pub(super) fn empty(&self) -> Total {
        match self {
            Self::FloatSum | Self::FloatMean => Total::Float { count: 0, sum: ExactSum::default() },
            Self::Min(_) | Self::Max(_) => Total::Extreme(None),
            _ => Total::Whole { count: 0, sum: 0 },
        }
    }

    /// The values of several groups as a column. `extremes` turns kept values back into an array.
    pub(super) fn column(
        &self,
        totals: &[&Total],
        extremes: impl FnOnce(&[&[u8]]) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        Ok(match self {
            Self::Count | Self::Distinct => {
                Arc::new(Int64Array::from_iter_values(totals.iter().map(|total| total.count())))
            }
            Self::Sum => {
                let sums =
                    totals.iter().map(|total| total.whole().map(|sum| i64::try_from(sum).map_err(|_| too_large())));
                Arc::new(sums.map(Option::transpose).collect::<Result<Int64Array>>()?)
            }
            Self::DecimalSum(_) | Self::DecimalMean(_) => {
                let factor = if matches!(self, Self::DecimalMean(scale) if mean_scale(*scale) > *scale) {
                    10_i128.pow(u32::from(MEAN_DIGITS.unsigned_abs()))
                } else {
                    1
                };
                let mean = matches!(self, Self::DecimalMean(_));
                let values = totals.iter().map(|total| {
                    let Some(sum) = total.whole() else { return Ok(None) };
                    let scaled = sum.checked_mul(factor).ok_or_else(too_large)?;
                    Ok(Some(if mean { divided(scaled, i128::from(total.count())) } else { scaled }))
                });
                let values = values.collect::<Result<Decimal128Array>>()?;
                let DataType::Decimal128(precision, scale) = self.data_type() else {
                    return Err(Error::bug("a decimal total is a decimal"));
                };
                values.validate_decimal_precision(precision).map_err(|_| too_large())?;
                let typed = values.with_precision_and_scale(precision, scale);
                Arc::new(typed.map_err(|error| Error::bug("a decimal total does not fit its type").with_source(error))?)
            }
            Self::Mean => {
                let mean = |total: &&Total| total.whole().map(|sum| sum as f64 / total.count() as f64);
                Arc::new(totals.iter().map(mean).collect::<Float64Array>())
            }
            Self::FloatSum | Self::FloatMean => {
                let mean = *self == Self::FloatMean;
                let value = |total: &&Total| match total {
                    Total::Float { count, sum } if *count > 0 => {
                        Some(if mean { sum.mean(*count) } else { sum.value() })
                    }
                    _ => None,
                };
                Arc::new(totals.iter().map(value).collect::<Float64Array>())
            }
            Self::Min(values) | Self::Max(values) => {
                let kept: Vec<&[u8]> = totals.iter().filter_map(|total| total.extreme()).collect();
                if kept.is_empty() {
                    return Ok(new_null_array(values, totals.len()));
                }
                let found = extremes(&kept)?;
                let mut next = 0..kept.len() as u64;
                let places = totals.iter().map(|total| total.extreme().and_then(|_| next.next()));
                let places = arrow::array::UInt64Array::from_iter(places);
                arrow::compute::take(&found, &places, None)
                    .map_err(|error| Error::bug("least and greatest values do not fit").with_source(error))?
            }
        })
    }
}

fn mean_scale(scale: i8) -> i8 {
    if scale > DECIMAL128_MAX_PRECISION as i8 - MEAN_DIGITS { scale } else { scale + MEAN_DIGITS }
}

/// Half is rounded away from zero, as databases do.
fn divided(sum: i128, count: i128) -> i128 {
    let (quotient, rest) = (sum / count, sum % count);
    let up = rest.unsigned_abs() * 2 >= count.unsigned_abs();
    if up { quotient + sum.signum() } else { quotient }
}

fn too_large() -> Error {
    Error::new(ErrorKind::Data, "a total of a group is too large for its type")
        .with_setting("totals")
        .with_hint("sum a wider type: `sum(cast(x as decimal(38,0)))`")
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Total {
    /// Values that are not NULL, and their sum where there is one.
    Whole { count: i64, sum: i128 },
    /// Floating point numbers and their sum.
    Float { count: i64, sum: ExactSum },
    /// The least or greatest value, as sortable bytes.
    Extreme(Option<Vec<u8>>),
}

impl Total {
    /// Adds row `i` of prepared values (`sign` 1), or takes it away (-1).
    ///
    /// # Errors
    /// `Data` when it becomes too large.
    pub(super) fn add(&mut self, values: Option<&ArrayRef>, i: usize, sign: i64) -> Result<()> {
        let is_null = values.is_some_and(|values| values.is_null(i));
        match (self, values) {
            _ if is_null => {}
            (Self::Whole { count, sum }, values) => {
                *count += sign;
                if let Some(number) = values.and_then(|values| values.as_primitive_opt::<Decimal128Type>()) {
                    let moved = i128::from(sign).checked_mul(number.value(i)).and_then(|by| sum.checked_add(by));
                    *sum = moved.ok_or_else(too_large)?;
                }
            }
            (Self::Float { count, sum }, Some(values)) => {
                *count += sign;
                sum.add(values.as_primitive::<Float64Type>().value(i), sign);
            }
            (Self::Float { .. } | Self::Extreme(_), _) => {}
        }
        Ok(())
    }

    /// Takes in a value if it is the least or greatest so far; false for totals of another kind.
    pub(super) fn raise(&mut self, value: &[u8]) -> bool {
        let Self::Extreme(wanted) = self else { return false };
        if wanted.as_deref().is_none_or(|wanted| value < wanted) {
            *wanted = Some(value.to_vec());
        }
        true
    }

    /// Adds the total of other rows (`sign` 1), or takes it away (-1); a least or greatest value only comes.
    ///
    /// # Errors
    /// `Data` when it becomes too large.
    pub(super) fn merge(&mut self, other: &Self, sign: i64) -> Result<()> {
        match (self, other) {
            (Self::Whole { count, sum }, Self::Whole { count: counted, sum: summed }) => {
                *count += sign * counted;
                *sum = sum.checked_add(i128::from(sign) * summed).ok_or_else(too_large)?;
            }
            (Self::Float { count, sum }, Self::Float { count: counted, sum: summed }) => {
                *count += sign * counted;
                sum.merge(summed, sign);
            }
            (wanted @ Self::Extreme(_), Self::Extreme(Some(value))) if sign > 0 => drop(wanted.raise(value)),
            (Self::Extreme(_), Self::Extreme(_)) => {}
            _ => return Err(Error::bug("totals of two kinds")),
        }
        Ok(())
    }

    /// True when it is a least or greatest value, and that of these rows.
    pub(super) fn lacks(&self, rows: &Self) -> bool {
        matches!(self, Self::Extreme(Some(_))) && self == rows
    }

    /// Sets a count.
    pub(super) fn count_as(&mut self, number: i64) {
        if let Self::Whole { count, .. } = self {
            *count = number;
        }
    }

    fn count(&self) -> i64 {
        match self {
            Self::Whole { count, .. } | Self::Float { count, .. } => *count,
            Self::Extreme(_) => 0,
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Self::Whole { count, sum } if *count > 0 => Some(*sum),
            _ => None,
        }
    }

    fn extreme(&self) -> Option<&[u8]> {
        if let Self::Extreme(value) = self { value.as_deref() } else { None }
    }

    /// As bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole { count, sum } => {
                out.extend(count.to_le_bytes());
                out.extend(sum.to_le_bytes());
            }
            Self::Float { count, sum } => {
                out.extend(count.to_le_bytes());
                sum.write(out);
            }
            Self::Extreme(value) => {
                let length = value.as_ref().map_or(u32::MAX, |value| value.len() as u32);
                out.extend(length.to_le_bytes());
                out.extend(value.as_deref().unwrap_or_default());
            }
        }
    }

    /// Out of bytes, which are taken from the front; of the same form as `self`.
    pub(super) fn read(&mut self, bytes: &mut &[u8]) -> Option<()> {
        match self {
            Self::Whole { count, sum } => {
                *count = take_i64(bytes)?;
                let (word, rest) = bytes.split_at_checked(16)?;
                (*sum, *bytes) = (i128::from_le_bytes(word.try_into().ok()?), rest);
            }
            Self::Float { count, sum } => {
                *count = take_i64(bytes)?;
                *sum = ExactSum::read(bytes)?;
            }
            Self::Extreme(value) => {
                let (word, rest) = bytes.split_at_checked(4)?;
                let length = u32::from_le_bytes(word.try_into().ok()?);
                let (found, rest) = if length == u32::MAX {
                    (None, rest)
                } else {
                    let (found, rest) = rest.split_at_checked(length as usize)?;
                    (Some(found.to_vec()), rest)
                };
                (*value, *bytes) = (found, rest);
            }
        }
        Some(())
    }
}

/// A number from the front.
pub(super) fn take_i64(bytes: &mut &[u8]) -> Option<i64> {
    let (word, rest) = bytes.split_at_checked(8)?;
    *bytes = rest;
    word.try_into().ok().map(i64::from_le_bytes)
}
