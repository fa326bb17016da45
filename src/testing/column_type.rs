//! Types of columns as tests write them.

use arrow::datatypes::{DataType, Field, TimeUnit};

/// What may be written, for messages.
pub(super) const TYPES: &str = "boolean, int8 to int64, uint8 to uint64, float32, float64, decimal(10,2), string, json, \
                                binary, date, time, timestamp, timestamptz";

/// A column of that name and type; `None` for a type that is not known.
pub(super) fn field(name: &str, text: &str, nullable: bool) -> Option<Field> {
    let lower = text.trim().to_ascii_lowercase();
    let data_type = match lower.as_str() {
        "boolean" | "bool" => DataType::Boolean,
        "int8" | "tinyint" => DataType::Int8,
        "int16" | "smallint" => DataType::Int16,
        "int32" | "int" | "integer" => DataType::Int32,
        "int64" | "bigint" => DataType::Int64,
        "uint8" => DataType::UInt8,
        "uint16" => DataType::UInt16,
        "uint32" => DataType::UInt32,
        "uint64" => DataType::UInt64,
        "float32" | "real" => DataType::Float32,
        "float64" | "double" => DataType::Float64,
        "string" | "text" | "varchar" => DataType::Utf8,
        "json" => {
            let extension = [("ARROW:extension:name".to_owned(), "arrow.json".to_owned())];
            return Some(Field::new(name, DataType::Utf8, nullable).with_metadata(extension.into()));
        }
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        decimal => self::decimal(decimal)?,
    };
    Some(Field::new(name, data_type, nullable))
}

/// `decimal(precision, scale)`.
fn decimal(text: &str) -> Option<DataType> {
    let inner = text.strip_prefix("decimal(").or_else(|| text.strip_prefix("numeric("))?.strip_suffix(')')?;
    let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
    let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<i8>().ok()?);
    let fits = scale >= 0 && scale as u8 <= precision;
    match precision {
        1..=38 if fits => Some(DataType::Decimal128(precision, scale)),
        39..=76 if fits => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

/// The type as a test writes it; Arrow's own name for those that tests do not have.
pub(super) fn name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            format!("decimal({precision},{scale})")
        }
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamptz".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
