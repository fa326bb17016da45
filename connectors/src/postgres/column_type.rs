//! PostgreSQL types as Arrow types.
//!
//! A column's Arrow type alone says how its values are decoded: everything that is not listed here is PostgreSQL's own
//! text, so that no type is ever dropped.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use tokio_postgres::types::Type;

/// The type's own text: `character varying(20)`, `timestamp(3) with time zone`, `shop.colour`.
pub(crate) const SOURCE_TYPE: &str = "source.type";
/// `stored` or `virtual` for generated columns.
pub(crate) const SOURCE_GENERATED: &str = "source.generated";
/// The column's number in its table, which a rename leaves alone.
pub(crate) const SOURCE_NUMBER: &str = "source.number";
/// Arrow's key for extension types.
const EXTENSION: &str = "ARROW:extension:name";
/// Most digits of a Decimal128 and of a Decimal256.
const DIGITS_128: u32 = 38;
const DIGITS_256: u32 = 76;
/// What a type modifier of a variable-length type is offset by.
const TYPMOD_OFFSET: i32 = 4;

/// A column as the catalogs have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnType {
    /// The type's own text.
    pub text: String,
    /// The type, or what a domain is made of in the end.
    pub base: u32,
    /// The modifier of that type; -1 without one.
    pub modifier: i32,
}

impl ColumnType {
    /// The Arrow type that holds every finite value of it.
    pub(crate) fn arrow(&self) -> DataType {
        match Type::from_oid(self.base) {
            Some(Type::BOOL) => DataType::Boolean,
            Some(Type::INT2) => DataType::Int16,
            Some(Type::INT4) => DataType::Int32,
            Some(Type::INT8) => DataType::Int64,
            Some(Type::OID) => DataType::UInt32,
            Some(Type::FLOAT4) => DataType::Float32,
            Some(Type::FLOAT8) => DataType::Float64,
            Some(Type::NUMERIC) => decimal(self.modifier),
            Some(Type::BYTEA) => DataType::Binary,
            Some(Type::DATE) => DataType::Date32,
            Some(Type::TIME) => DataType::Time64(TimeUnit::Microsecond),
            Some(Type::TIMESTAMP) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Some(Type::TIMESTAMPTZ) => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            _ => DataType::Utf8,
        }
    }

    /// The field of a column of this type.
    ///
    /// Columns outside the key are nullable whatever the table says: a value that the log leaves out has to fit.
    pub(crate) fn field(&self, name: &str, number: i16, in_key: bool) -> Field {
        let mut metadata = HashMap::from([
            (SOURCE_TYPE.to_owned(), self.text.clone()),
            (SOURCE_NUMBER.to_owned(), number.to_string()),
        ]);
        match Type::from_oid(self.base) {
            Some(Type::JSON | Type::JSONB) => metadata.insert(EXTENSION.to_owned(), "arrow.json".to_owned()),
            Some(Type::UUID) => metadata.insert(EXTENSION.to_owned(), "aqueduct.uuid".to_owned()),
            _ => None,
        };
        Field::new(name, self.arrow(), !in_key).with_metadata(metadata)
    }
}

/// The column's number, where the field says one.
pub(crate) fn number_of(field: &Field) -> Option<i16> {
    field.metadata().get(SOURCE_NUMBER)?.parse().ok()
}

/// `numeric(p, s)`; text where the digits do not fit a decimal, or their number is not bounded.
fn decimal(modifier: i32) -> DataType {
    if modifier < TYPMOD_OFFSET {
        return DataType::Utf8;
    }
    let bits = (modifier - TYPMOD_OFFSET).unsigned_abs();
    let precision = (bits >> 16) & 0xffff;
    // Eleven bits with a sign since PostgreSQL 15.
    let scale = ((bits & 0x7ff) as i32 ^ 0x400) - 0x400;
    match (precision, i8::try_from(scale)) {
        (1..=DIGITS_128, Ok(scale @ 0..)) if scale as u32 <= precision => DataType::Decimal128(precision as u8, scale),
        (1..=DIGITS_256, Ok(scale @ 0..)) if scale as u32 <= precision => DataType::Decimal256(precision as u8, scale),
        _ => DataType::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: Type, modifier: i32) -> DataType {
        ColumnType { text: base.name().to_owned(), base: base.oid(), modifier }.arrow()
    }

    #[test]
    fn decimals_by_their_digits() {
        let modifier = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + TYPMOD_OFFSET;
        for (given, expected) in [
            (-1, DataType::Utf8),
            (modifier(12, 2), DataType::Decimal128(12, 2)),
            (modifier(38, 38), DataType::Decimal128(38, 38)),
            (modifier(39, 0), DataType::Decimal256(39, 0)),
            (modifier(76, 10), DataType::Decimal256(76, 10)),
            (modifier(77, 10), DataType::Utf8),
            (modifier(5, -2), DataType::Utf8),
            (modifier(3, 5), DataType::Utf8),
        ] {
            assert_eq!(of(Type::NUMERIC, given), expected, "{given}");
        }
    }

    #[test]
    fn what_is_not_known_is_text() {
        for base in [Type::INT4_ARRAY, Type::INTERVAL, Type::MONEY, Type::INET, Type::TIMETZ, Type::TEXT, Type::UUID] {
            assert_eq!(of(base, -1), DataType::Utf8);
        }
        let other = ColumnType { text: "shop.colour".into(), base: 99_999, modifier: -1 };
        assert_eq!(other.arrow(), DataType::Utf8);
        assert_eq!(other.field("c", 3, false).metadata()[SOURCE_TYPE], "shop.colour");
    }
}
