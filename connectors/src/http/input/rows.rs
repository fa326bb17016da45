//! Rows of JSON as columns.

use std::sync::Arc;

use aqueduct_model::{BadRow, Error, ErrorKind, Relation, RelationName, Result};
use arrow::array::builder::PrimitiveBuilder;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter;
use arrow::compute::kernels::cast_utils::{Parser, parse_decimal, string_to_datetime};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Schema, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use chrono::Utc;

use super::super::json::Json;
use super::config::HttpInputConfig;
use crate::column_type::ColumnType;

/// Most columns that are inferred.
const COLUMNS_MAX: usize = 1_000;

/// The columns, once they are known.
#[derive(Debug)]
pub(super) struct Layout {
    pub relation: Arc<Relation>,
    /// They were inferred: a row may have no other members.
    is_inferred: bool,
}

/// Rows that fit, and rows that do not.
pub(super) struct Read {
    pub rows: RecordBatch,
    /// With the rows' numbers among those given.
    pub refused: Vec<(usize, BadRow)>,
}

impl Layout {
    /// With the columns that a person wrote, or those that were inferred once.
    ///
    /// # Errors
    /// `Schema` when a key column is not among them.
    pub(super) fn new(config: &HttpInputConfig, inferred: &[(String, String)]) -> Result<Option<Self>> {
        let mut columns = config.columns.0.clone();
        let is_inferred = columns.is_empty();
        if is_inferred {
            for (name, kind) in inferred {
                let kind = kind.parse().map_err(|why: String| Error::new(ErrorKind::LostPosition, why))?;
                columns.push((name.clone(), kind));
            }
        }
        if columns.is_empty() {
            return Ok(None);
        }
        let field = |(name, kind): &(String, ColumnType)| Field::new(name, kind.0.clone(), !config.key.contains(name));
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let relation = Relation::new(RelationName::table(&config.name), schema, &config.key, 1)
            .map_err(|error| error.with_setting("key"))?;
        Ok(Some(Self { relation: Arc::new(relation), is_inferred }))
    }

    /// The rows as columns; what does not fit is left out, with reasons.
    ///
    /// # Errors
    /// `Bug` for a type that was not refused when the settings were checked.
    pub(super) fn read(&self, rows: &[Json]) -> Result<Read> {
        let schema = self.relation.columns();
        let mut reasons: Vec<Vec<String>> = rows.iter().map(|row| self.misshapen(row)).collect();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let cells: Vec<Option<&Json>> =
                rows.iter().map(|row| row.at(field.name()).filter(|cell| **cell != Json::Null)).collect();
            let array = column(&cells, field.data_type())?;
            for (i, cell) in cells.iter().enumerate() {
                if cell.is_some() && array.is_null(i) {
                    reasons[i].push(format!("{} is no {}", field.name(), ColumnType(field.data_type().clone())));
                } else if cell.is_none() && !field.is_nullable() {
                    reasons[i].push(format!("the key column {} has no value", field.name()));
                }
            }
            columns.push(array);
        }
        let fits: BooleanArray = reasons.iter().map(|reasons| Some(reasons.is_empty())).collect();
        let bug = |error| Error::bug("rows of JSON do not make columns").with_source(error);
        let kept: Vec<ArrayRef> =
            columns.iter().map(|column| filter(column, &fits).map_err(bug)).collect::<Result<_>>()?;
        let refused = reasons.into_iter().enumerate().filter(|(_, reasons)| !reasons.is_empty());
        let refused = refused.map(|(i, reasons)| (i, self.refused(&rows[i], reasons))).collect();
        Ok(Read { rows: RecordBatch::try_new(schema.clone(), kept).map_err(bug)?, refused })
    }

    fn misshapen(&self, row: &Json) -> Vec<String> {
        let Json::Object(members) = row else { return vec!["the row is no JSON object".to_owned()] };
        let known = |name: &str| self.relation.columns().index_of(name).is_ok();
        let others = members.iter().filter(|(name, _)| self.is_inferred && !known(name));
        others.map(|(name, _)| format!("{name} is not among the inferred columns; give `columns`")).collect()
    }

    fn refused(&self, row: &Json, reasons: Vec<String>) -> BadRow {
        BadRow { relation: Some(self.relation.name().clone()), row: row.to_text().into(), reasons, position: None }
    }
}

/// The columns that rows have in common, in the order in which they first appear.
///
/// # Errors
/// `Schema` when there are too many.
pub(super) fn infer(rows: &[Json]) -> Result<Vec<(String, String)>> {
    let mut found: Vec<(&str, Option<DataType>)> = Vec::new();
    for row in rows {
        let Json::Object(members) = row else { continue };
        for (name, value) in members {
            let kind = kind_of(value);
            match found.iter_mut().find(|(known, _)| known == name) {
                Some((_, before)) => *before = both(before.take(), kind),
                None => found.push((name, kind)),
            }
        }
        if found.len() > COLUMNS_MAX {
            return Err(Error::new(ErrorKind::Schema, format!("the rows have more than {COLUMNS_MAX} members"))
                .with_setting("columns")
                .with_hint("name the ones that are needed: `columns: { id: int64 }`"));
        }
    }
    let text = |kind: Option<DataType>| ColumnType(kind.unwrap_or(DataType::Utf8)).to_string();
    Ok(found.into_iter().map(|(name, kind)| (name.to_owned(), text(kind))).collect())
}

/// The type that holds a value without loss; `None` for null.
fn kind_of(value: &Json) -> Option<DataType> {
    /// Digits that a double holds exactly.
    const EXACT_DIGITS: usize = 15;
    match value {
        Json::Null => None,
        Json::Bool(_) => Some(DataType::Boolean),
        Json::Number(text) if text.parse::<i64>().is_ok() => Some(DataType::Int64),
        Json::Number(text) => {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            Some(if digits <= EXACT_DIGITS { DataType::Float64 } else { DataType::Utf8 })
        }
        Json::Text(_) | Json::List(_) | Json::Object(_) => Some(DataType::Utf8),
    }
}

fn both(a: Option<DataType>, b: Option<DataType>) -> Option<DataType> {
    use DataType::{Float64, Int64};
    match (a, b) {
        (None, kind) | (kind, None) => kind,
        (Some(a), Some(b)) if a == b => Some(a),
        (Some(Int64 | Float64), Some(Int64 | Float64)) => Some(Float64),
        _ => Some(DataType::Utf8),
    }
}

/// One column; a cell that does not fit is null.
fn column(cells: &[Option<&Json>], kind: &DataType) -> Result<ArrayRef> {
    Ok(match kind {
        DataType::Utf8 => Arc::new(cells.iter().map(|cell| cell.map(as_text)).collect::<StringArray>()),
        DataType::Boolean => {
            let truth = |cell: &Option<&Json>| match cell.and_then(Json::scalar) {
                Some("true") => Some(true),
                Some("false") => Some(false),
                _ => None,
            };
            Arc::new(cells.iter().map(truth).collect::<BooleanArray>())
        }
        DataType::Int8 => primitive::<Int8Type>(cells, kind, |text| text.parse().ok()),
        DataType::Int16 => primitive::<Int16Type>(cells, kind, |text| text.parse().ok()),
        DataType::Int32 => primitive::<Int32Type>(cells, kind, |text| text.parse().ok()),
        DataType::Int64 => primitive::<Int64Type>(cells, kind, |text| text.parse().ok()),
        DataType::UInt8 => primitive::<UInt8Type>(cells, kind, |text| text.parse().ok()),
        DataType::UInt16 => primitive::<UInt16Type>(cells, kind, |text| text.parse().ok()),
        DataType::UInt32 => primitive::<UInt32Type>(cells, kind, |text| text.parse().ok()),
        DataType::UInt64 => primitive::<UInt64Type>(cells, kind, |text| text.parse().ok()),
        DataType::Float32 => primitive::<Float32Type>(cells, kind, |text| finite(text).map(|n| n as f32)),
        DataType::Float64 => primitive::<Float64Type>(cells, kind, finite),
        &DataType::Decimal128(precision, scale) => {
            primitive::<Decimal128Type>(cells, kind, |text| decimal(text, precision, scale))
        }
        DataType::Date32 => primitive::<Date32Type>(cells, kind, Date32Type::parse),
        DataType::Time64(TimeUnit::Microsecond) => {
            primitive::<Time64MicrosecondType>(cells, kind, Time64MicrosecondType::parse)
        }
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => primitive::<TimestampSecondType>(cells, kind, |text| instant(text, 1)),
            TimeUnit::Millisecond => primitive::<TimestampMillisecondType>(cells, kind, |text| instant(text, 1_000)),
            TimeUnit::Microsecond => {
                primitive::<TimestampMicrosecondType>(cells, kind, |text| instant(text, 1_000_000))
            }
            TimeUnit::Nanosecond => {
                primitive::<TimestampNanosecondType>(cells, kind, |text| instant(text, 1_000_000_000))
            }
        },
        other => return Err(Error::bug(format!("JSON is read as {other}"))),
    })
}

fn as_text(cell: &Json) -> String {
    cell.scalar().map_or_else(|| cell.to_text(), str::to_owned)
}

fn primitive<T: ArrowPrimitiveType>(
    cells: &[Option<&Json>],
    kind: &DataType,
    parse: impl Fn(&str) -> Option<T::Native>,
) -> ArrayRef {
    let mut column = PrimitiveBuilder::<T>::with_capacity(cells.len()).with_data_type(kind.clone());
    for cell in cells {
        let text = cell.filter(|cell| !matches!(cell, Json::Bool(_))).and_then(Json::scalar);
        column.append_option(text.and_then(&parse));
    }
    Arc::new(column.finish())
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Exactly: digits behind the scale must be zeros, and an exponent is no decimal.
fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let (_, part) = text.split_once('.').unwrap_or((text, ""));
    if part.trim_end_matches('0').len() > usize::try_from(scale).ok()? || text.contains(['e', 'E']) {
        return None;
    }
    parse_decimal::<Decimal128Type>(text, precision, scale).ok()
}

/// An instant in units of a second's part; one that is finer than the unit does not fit. Without an offset it is UTC.
fn instant(text: &str, per_second: i64) -> Option<i64> {
    let at = string_to_datetime(&Utc, text).ok()?;
    let part = 1_000_000_000 / per_second;
    let nanos = i64::from(at.timestamp_subsec_nanos());
    if nanos % part != 0 {
        return None;
    }
    at.timestamp().checked_mul(per_second)?.checked_add(nanos / part)
}
