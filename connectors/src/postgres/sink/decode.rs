//! Rows of a query, in the binary format, as columns of cells.

use std::error::Error as StdError;

use aqueduct_model::{Error, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::encode::{DAYS_TO_2000, MICROS_TO_2000};
use crate::sql_target::cells::{CellsBuilder, Kind, batch, foreign_value, kind, parse_decimal};

/// A cell's bytes as they came.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Makes a batch of rows whose columns from `first` on are those of the schema.
///
/// # Errors
/// `Data` when a cell is no value of its column: someone else wrote it.
pub(super) fn rows_to_batch(rows: &[Row], first: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut builders = Vec::with_capacity(schema.fields().len());
    for (i, field) in schema.fields().iter().enumerate() {
        let kind = kind(field.data_type());
        let mut builder = CellsBuilder::new(kind);
        for row in rows {
            let Raw(raw) = row
                .try_get(first + i)
                .map_err(|error| Error::bug("a column is not in the result").with_source(error))?;
            match raw {
                None => builder.null(),
                Some(bytes) => {
                    let wire = row.columns()[first + i].type_();
                    push(&mut builder, kind, wire, bytes).ok_or_else(|| foreign_value(field.name()))?;
                }
            }
        }
        builders.push(builder);
    }
    batch(builders, schema, rows.len())
}

fn push(builder: &mut CellsBuilder, kind: Kind, wire: &Type, bytes: &[u8]) -> Option<()> {
    match builder {
        CellsBuilder::Bool(values) => values.push(Some(*bytes.first()? != 0)),
        CellsBuilder::Float32(values) => values.push(Some(float(wire, bytes)? as f32)),
        CellsBuilder::Float64(values) => values.push(Some(float(wire, bytes)?)),
        CellsBuilder::Text(values) => values.append_value(std::str::from_utf8(bytes).ok()?),
        CellsBuilder::Bytes(values) => values.append_value(bytes),
        CellsBuilder::UInt64(values) => values.push(Some(std::str::from_utf8(bytes).ok()?.parse().ok()?)),
        CellsBuilder::Decimal(values, scale) => {
            values.push(Some(parse_decimal(std::str::from_utf8(bytes).ok()?, *scale)?));
        }
        CellsBuilder::Int(values) => values.push(Some(integer(kind, wire, bytes)?)),
    }
    Some(())
}

fn float(wire: &Type, bytes: &[u8]) -> Option<f64> {
    match *wire {
        Type::FLOAT4 => Some(f64::from(f32::from_be_bytes(bytes.try_into().ok()?))),
        Type::FLOAT8 => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}

fn integer(kind: Kind, wire: &Type, bytes: &[u8]) -> Option<i64> {
    let wide = || Some(i64::from_be_bytes(bytes.try_into().ok()?));
    match (kind, wire) {
        (Kind::Date, &Type::DATE) => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?)) + DAYS_TO_2000),
        (Kind::Stamp { .. }, &(Type::TIMESTAMP | Type::TIMESTAMPTZ)) => wide()?.checked_add(MICROS_TO_2000),
        (Kind::Time, &Type::TIME) => wide(),
        (Kind::Duration, &Type::INTERVAL) => {
            // A day of 24 hours; months have no length.
            let micros = i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
            let days = i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
            let months = i32::from_be_bytes(bytes.get(12..16)?.try_into().ok()?);
            (months == 0).then_some(())?;
            micros.checked_add(i64::from(days).checked_mul(86_400_000_000)?)
        }
        (Kind::Int, &Type::INT2) => Some(i64::from(i16::from_be_bytes(bytes.try_into().ok()?))),
        (Kind::Int, &Type::INT4) => Some(i64::from(i32::from_be_bytes(bytes.try_into().ok()?))),
        (Kind::Int, &Type::INT8) => wide(),
        _ => None,
    }
}
