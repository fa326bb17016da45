//! From a column's own type, as `information_schema` and DDL write it, to an Arrow field.
//!
//! The one place that decides it, so that a table described by the server, by its DDL and by a stored schema history
//! is the same table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::column_default::ColumnDefault;
use super::rows::ZeroDates;

/// Metadata: the column's full type as the server writes it.
pub(crate) const SOURCE_TYPE: &str = "source.type";
/// Metadata: the character set of a text column.
pub(crate) const SOURCE_CHARSET: &str = "source.charset";
/// Metadata: the collation of a text column.
pub(crate) const SOURCE_COLLATION: &str = "source.collation";
/// Metadata: `virtual` or `stored` for a generated column.
pub(crate) const SOURCE_GENERATED: &str = "source.generated";
/// Metadata of a relation's schema: the name of the index that the key is; `PRIMARY`, or a unique one.
pub(crate) const SOURCE_KEY: &str = "source.key";
/// Metadata: an Arrow extension type.
const EXTENSION_NAME: &str = "ARROW:extension:name";

/// Longest decimal that Decimal128 holds.
const DECIMAL128_DIGITS: u8 = 38;

/// A column as the server knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ColumnSpec {
    pub name: String,
    /// The full type: `decimal(10,2) unsigned`, `enum('a','b')`, `timestamp(3)`.
    pub source_type: String,
    pub nullable: bool,
    /// For text columns.
    pub charset: Option<String>,
    /// For text columns.
    pub collation: Option<String>,
    /// `virtual` or `stored`, for a generated column.
    pub generated: Option<String>,
    pub default: ColumnDefault,
}

impl ColumnSpec {
    /// The Arrow field; types that are not known are read as text.
    pub(crate) fn field(&self, zero_dates: ZeroDates) -> Field {
        let data_type = arrow_type(&self.source_type, zero_dates);
        let is_date = matches!(data_type, DataType::Date32 | DataType::Timestamp(..));
        let mut metadata = HashMap::from([(SOURCE_TYPE.to_owned(), self.source_type.clone())]);
        let optional =
            [(SOURCE_CHARSET, &self.charset), (SOURCE_COLLATION, &self.collation), (SOURCE_GENERATED, &self.generated)];
        for (name, value) in optional {
            if let Some(value) = value {
                metadata.insert(name.to_owned(), value.clone());
            }
        }
        self.default.keep(&self.source_type, &mut metadata);
        let extension = match base(&self.source_type).as_str() {
            "json" => Some("arrow.json"),
            "uuid" => Some("aqueduct.uuid"),
            _ => None,
        };
        if let Some(extension) = extension {
            metadata.insert(EXTENSION_NAME.to_owned(), extension.to_owned());
        }
        // A date that does not exist becomes NULL whatever the column says.
        let nullable = self.nullable || (is_date && zero_dates == ZeroDates::Null);
        Field::new(&self.name, data_type, nullable).with_metadata(metadata)
    }
}

/// The first word of a type, in lower case: `decimal`.
pub(crate) fn base(source_type: &str) -> String {
    source_type.split(['(', ' ']).next().unwrap_or_default().to_ascii_lowercase()
}

/// The Arrow type of a column.
pub(crate) fn arrow_type(source_type: &str, zero_dates: ZeroDates) -> DataType {
    let lower = source_type.to_ascii_lowercase();
    let unsigned = attributes(&lower).any(|word| matches!(word, "unsigned" | "zerofill"));
    let signed_or = |signed, unsigned_type| if unsigned { unsigned_type } else { signed };
    match base(&lower).as_str() {
        "tinyint" | "bool" | "boolean" => signed_or(DataType::Int8, DataType::UInt8),
        "smallint" => signed_or(DataType::Int16, DataType::UInt16),
        "mediumint" | "int" | "integer" => signed_or(DataType::Int32, DataType::UInt32),
        "bigint" => signed_or(DataType::Int64, DataType::UInt64),
        "serial" => DataType::UInt64,
        "float" => DataType::Float32,
        "double" | "real" => DataType::Float64,
        "decimal" | "numeric" | "dec" | "fixed" => decimal(&lower),
        "bit" => match arguments(&lower).first() {
            None | Some(1) => DataType::Boolean,
            Some(_) => DataType::UInt64,
        },
        "year" => DataType::UInt16,
        "time" => DataType::Duration(TimeUnit::Microsecond),
        "date" | "datetime" | "timestamp" if zero_dates == ZeroDates::Text => DataType::Utf8,
        "date" => DataType::Date32,
        "datetime" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "vector" | "geometry" | "point"
        | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon" | "geometrycollection"
        | "geomcollection" => DataType::Binary,
        _ => DataType::Utf8,
    }
}

fn decimal(source_type: &str) -> DataType {
    let arguments = arguments(source_type);
    let precision = arguments.first().copied().unwrap_or(10);
    let scale = arguments.get(1).copied().unwrap_or(0);
    // Scales end at 38 in both servers.
    let scale = i8::try_from(scale).unwrap_or(i8::MAX);
    if precision <= DECIMAL128_DIGITS {
        DataType::Decimal128(precision.max(1), scale)
    } else {
        DataType::Decimal256(precision, scale)
    }
}

/// The numbers between the parentheses.
fn arguments(source_type: &str) -> Vec<u8> {
    let inside =
        source_type.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inside, _)| inside);
    inside.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}

/// The words behind the parentheses.
fn attributes(source_type: &str) -> impl Iterator<Item = &str> {
    source_type.rsplit(')').next().unwrap_or_default().split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_arrow_type() {
        for (source_type, expected) in [
            ("tinyint(1)", DataType::Int8),
            ("tinyint(3) unsigned", DataType::UInt8),
            ("smallint(5) unsigned zerofill", DataType::UInt16),
            ("mediumint(9)", DataType::Int32),
            ("int unsigned", DataType::UInt32),
            ("bigint(20)", DataType::Int64),
            ("decimal(10,2) unsigned", DataType::Decimal128(10, 2)),
            ("decimal(65,30)", DataType::Decimal256(65, 30)),
            ("decimal(10,0)", DataType::Decimal128(10, 0)),
            ("float(7,3)", DataType::Float32),
            ("double", DataType::Float64),
            ("bit(1)", DataType::Boolean),
            ("bit(64)", DataType::UInt64),
            ("year(4)", DataType::UInt16),
            ("date", DataType::Date32),
            ("datetime(6)", DataType::Timestamp(TimeUnit::Microsecond, None)),
            ("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            ("time(3)", DataType::Duration(TimeUnit::Microsecond)),
            ("enum('a) unsigned','b')", DataType::Utf8),
            ("set('bit(1)')", DataType::Utf8),
            ("varchar(20)", DataType::Utf8),
            ("json", DataType::Utf8),
            ("uuid", DataType::Utf8),
            ("inet6", DataType::Utf8),
            ("varbinary(16)", DataType::Binary),
            ("point", DataType::Binary),
            ("vector(3)", DataType::Binary),
        ] {
            assert_eq!(arrow_type(source_type, ZeroDates::Null), expected, "{source_type}");
        }
        assert_eq!(arrow_type("timestamp(6)", ZeroDates::Text), DataType::Utf8);
    }

    #[test]
    fn a_date_that_becomes_null_makes_its_column_nullable() {
        let spec = ColumnSpec { name: "d".into(), source_type: "date".into(), ..ColumnSpec::default() };
        assert!(spec.field(ZeroDates::Null).is_nullable());
        assert!(!spec.field(ZeroDates::Epoch).is_nullable());
    }
}
