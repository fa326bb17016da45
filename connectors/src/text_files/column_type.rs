//! The small language of column types.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, TimeUnit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A column's type as a person writes it: `int64`, `decimal(12,2)`, `timestamp(ms, utc)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnType(pub(crate) DataType);

const NAMES: &str = "bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, decimal(p,s), \
string, date, time, timestamp, timestamp(s|ms|us|ns), timestamp(us, utc), binary";

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || format!("{text:?} is not a column type; types are: {NAMES}");
        let lower = text.trim().to_ascii_lowercase();
        let (name, arguments) = match lower.split_once('(') {
            None => (lower.as_str(), Vec::new()),
            Some((name, rest)) => {
                let inner = rest.strip_suffix(')').ok_or_else(complaint)?;
                (name.trim_end(), inner.split(',').map(str::trim).collect())
            }
        };
        let kind = match (name, arguments.as_slice()) {
            ("bool" | "boolean", []) => DataType::Boolean,
            ("int8", []) => DataType::Int8,
            ("int16", []) => DataType::Int16,
            ("int32" | "int", []) => DataType::Int32,
            ("int64" | "bigint", []) => DataType::Int64,
            ("uint8", []) => DataType::UInt8,
            ("uint16", []) => DataType::UInt16,
            ("uint32", []) => DataType::UInt32,
            ("uint64", []) => DataType::UInt64,
            ("float32" | "float", []) => DataType::Float32,
            ("float64" | "double", []) => DataType::Float64,
            ("string" | "text" | "utf8", []) => DataType::Utf8,
            ("date", []) => DataType::Date32,
            ("time", []) => DataType::Time64(TimeUnit::Microsecond),
            ("binary", []) => DataType::Binary,
            ("decimal", [precision, scale]) => decimal(precision, scale).ok_or_else(complaint)?,
            ("timestamp", []) => DataType::Timestamp(TimeUnit::Microsecond, None),
            ("timestamp", [unit]) => DataType::Timestamp(time_unit(unit).ok_or_else(complaint)?, None),
            ("timestamp", [unit, zone]) => {
                let zone = time_zone(zone).ok_or_else(complaint)?;
                DataType::Timestamp(time_unit(unit).ok_or_else(complaint)?, Some(zone.into()))
            }
            _ => return Err(complaint()),
        };
        Ok(Self(kind))
    }
}

fn decimal(precision: &str, scale: &str) -> Option<DataType> {
    let (precision, scale): (u8, i8) = (precision.parse().ok()?, scale.parse().ok()?);
    let fits = (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale);
    fits.then_some(DataType::Decimal128(precision, scale))
}

fn time_unit(unit: &str) -> Option<TimeUnit> {
    match unit {
        "s" => Some(TimeUnit::Second),
        "ms" => Some(TimeUnit::Millisecond),
        "us" => Some(TimeUnit::Microsecond),
        "ns" => Some(TimeUnit::Nanosecond),
        _ => None,
    }
}

/// `UTC` or an offset such as `+08:00`; names of places change their meaning with the time zone tables of a machine.
fn time_zone(zone: &str) -> Option<String> {
    if zone == "utc" || zone == "z" {
        return Some("UTC".to_owned());
    }
    let bytes = zone.as_bytes();
    let digits = |at: usize| bytes[at].is_ascii_digit() && bytes[at + 1].is_ascii_digit();
    let valid = bytes.len() == 6 && matches!(bytes[0], b'+' | b'-') && bytes[3] == b':' && digits(1) && digits(4);
    valid.then(|| zone.to_owned())
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            DataType::Boolean => f.write_str("bool"),
            DataType::Utf8 => f.write_str("string"),
            DataType::Date32 => f.write_str("date"),
            DataType::Time64(_) => f.write_str("time"),
            DataType::Decimal128(precision, scale) => write!(f, "decimal({precision},{scale})"),
            DataType::Timestamp(unit, zone) => {
                let unit = match unit {
                    TimeUnit::Second => "s",
                    TimeUnit::Millisecond => "ms",
                    TimeUnit::Microsecond => "us",
                    TimeUnit::Nanosecond => "ns",
                };
                match zone {
                    None => write!(f, "timestamp({unit})"),
                    Some(zone) => write!(f, "timestamp({unit}, {})", zone.to_ascii_lowercase()),
                }
            }
            plain => f.write_str(&plain.to_string().to_ascii_lowercase()),
        }
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Columns with their types, in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TypedColumns(pub(crate) Vec<(String, ColumnType)>);

impl<'de> Deserialize<'de> for TypedColumns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = TypedColumns;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("columns with their types, such as {id: int64, name: string}")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<TypedColumns, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(TypedColumns(columns))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl JsonSchema for TypedColumns {
    fn schema_name() -> Cow<'static, str> {
        "TypedColumns".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": format!("Column names with their types. Types: {NAMES}."),
            "additionalProperties": {"type": "string"},
            "examples": [{"id": "int64", "amount": "decimal(12,2)", "created_at": "timestamp(us, utc)"}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_as_they_are_written() {
        for text in [
            "bool",
            "int8",
            "int64",
            "uint16",
            "float32",
            "float64",
            "decimal(12,2)",
            "string",
            "date",
            "time",
            "timestamp(us)",
            "timestamp(ms, utc)",
            "timestamp(ns, +08:00)",
            "binary",
        ] {
            assert_eq!(text.parse::<ColumnType>().unwrap().to_string(), text);
        }
        assert_eq!("timestamp".parse::<ColumnType>().unwrap().to_string(), "timestamp(us)");
        for text in ["", "number", "decimal", "decimal(39,2)", "decimal(4,5)", "timestamp(m)", "int64(3)", "date("] {
            assert!(text.parse::<ColumnType>().is_err(), "{text}");
        }
    }
}
