//! Column types of MySQL and MariaDB.
//!
//! No value is lost: what MySQL's own types would cut or round (nanoseconds, decimals beyond 65 digits) is kept as an
//! integer or as text. Moments are DATETIME(6) in UTC, because TIMESTAMP ends in 2038.

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::column_type::is_extension;
use super::{Dialect, Value};

/// A key has at most 3,072 bytes, and a character at most four.
const KEY_CHARS_MAX: usize = 760;
/// What a text in a key may be long, at most: characters.
const KEY_TEXT_CHARS: usize = 255;
/// MySQL 8.4 manual, DECIMAL Data Type Characteristics.
const DIGITS_MAX: u8 = 65;
const SCALE_MAX: i8 = 30;

/// A collation that tells all texts apart, trailing blanks and case included.
pub(super) fn binary_collation(dialect: Dialect) -> &'static str {
    if dialect == Dialect::MariaDb { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" }
}

/// The type of a column; `key_columns` is 0 outside of the key.
pub(super) fn generic(dialect: Dialect, field: &Field, key_columns: usize) -> Option<String> {
    use DataType::*;
    let in_key = key_columns > 0;
    let key_chars = KEY_TEXT_CHARS.min(KEY_CHARS_MAX / key_columns.max(1));
    let collation = binary_collation(dialect);
    let text = |in_key: bool| match in_key {
        true => format!("varchar({key_chars}) CHARACTER SET utf8mb4 COLLATE {collation}"),
        false => "longtext CHARACTER SET utf8mb4".to_owned(),
    };
    Some(match value_type(field.data_type()) {
        Boolean => "tinyint(1)".to_owned(),
        Int8 => "tinyint".to_owned(),
        Int16 => "smallint".to_owned(),
        Int32 => "int".to_owned(),
        Int64 => "bigint".to_owned(),
        UInt8 => "tinyint unsigned".to_owned(),
        UInt16 => "smallint unsigned".to_owned(),
        UInt32 => "int unsigned".to_owned(),
        UInt64 => "bigint unsigned".to_owned(),
        Float16 | Float32 => "float".to_owned(),
        Float64 => "double".to_owned(),
        Utf8 | LargeUtf8 | Utf8View if !in_key && is_extension(field, "arrow.json") => "json".to_owned(),
        Utf8 | LargeUtf8 | Utf8View if is_extension(field, "aqueduct.uuid") => {
            "char(36) CHARACTER SET ascii COLLATE ascii_bin".to_owned()
        }
        Null | Utf8 | LargeUtf8 | Utf8View => text(in_key),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) if in_key => format!("varbinary({key_chars})"),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "longblob".to_owned(),
        Date32 => "date".to_owned(),
        Date64 | Timestamp(TimeUnit::Millisecond, _) => "datetime(3)".to_owned(),
        Timestamp(TimeUnit::Second, _) => "datetime".to_owned(),
        Timestamp(TimeUnit::Microsecond, _) => "datetime(6)".to_owned(),
        Duration(TimeUnit::Microsecond) => "time(6)".to_owned(),
        Time64(TimeUnit::Nanosecond) | Timestamp(TimeUnit::Nanosecond, _) | Duration(_) => "bigint".to_owned(),
        Time32(_) | Time64(_) => "time(6)".to_owned(),
        Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) | Decimal256(p, s) => {
            let (p, s) = if *s < 0 { (p.saturating_add(s.unsigned_abs()), 0) } else { (*p.max(&s.unsigned_abs()), *s) };
            if p > DIGITS_MAX || s > SCALE_MAX { text(in_key) } else { format!("decimal({p},{s})") }
        }
        _ => return None,
    })
}

/// The type of a dictionary's values, or the type itself.
pub(super) fn value_type(data_type: &DataType) -> &DataType {
    if let DataType::Dictionary(_, values) = data_type { values } else { data_type }
}

/// The source's own type, where the source is of this family too and the column's values are still its values.
pub(super) fn native(field: &Field, in_key: bool) -> Option<Native> {
    let of_source = field.metadata().get("source.type")?.trim();
    // PostgreSQL's fields have a number, and its types other meanings.
    if field.metadata().contains_key("source.number") {
        return None;
    }
    let kind = Kind::parse(of_source);
    if !kind.is_of(field.data_type()) || in_key && !kind.can_be_key() {
        return None;
    }
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let metadata = |name: &str| field.metadata().get(name).filter(|text| !text.is_empty() && plain(text)).cloned();
    let (charset, collation) = (metadata("source.charset"), metadata("source.collation"));
    let is_text = matches!(kind, Kind::Text { .. } | Kind::Listed);
    if is_text && (charset.is_none() || collation.is_none()) {
        return None;
    }
    let of_text = is_text.then_some(()).and(charset.zip(collation));
    Some(Native { sql: of_source.to_owned(), charset: of_text })
}

/// A source's own column type.
pub(super) struct Native {
    sql: String,
    /// Character set and collation of a text.
    charset: Option<(String, String)>,
}

impl Native {
    /// What the target must know for the type to exist there: a query that finds a row, and its parameters.
    pub fn needs(&self) -> Option<(&'static str, Vec<Value>)> {
        let (_, collation) = self.charset.as_ref()?;
        Some(("SELECT 1 FROM information_schema.COLLATIONS WHERE COLLATION_NAME = ?1", vec![collation.as_str().into()]))
    }

    /// The column's type in DDL.
    pub fn sql(&self) -> String {
        match &self.charset {
            Some((charset, collation)) => format!("{} CHARACTER SET {charset} COLLATE {collation}", self.sql),
            None => self.sql.clone(),
        }
    }
}

/// What matters of a type when one is to hold the values of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int {
        bits: u8,
        unsigned: bool,
    },
    Decimal {
        digits: u8,
        scale: u8,
        unsigned: bool,
    },
    Float,
    Double,
    Bit(u8),
    /// About how many characters it takes.
    Text {
        chars: u64,
        fixed: bool,
    },
    /// ENUM and SET.
    Listed,
    Json,
    Bytes {
        bytes: u64,
    },
    Spatial,
    Date,
    DateTime(u8),
    Timestamp(u8),
    Time(u8),
    Year,
    Other,
}

impl Kind {
    /// Reads `COLUMN_TYPE`, or our own DDL.
    fn parse(sql: &str) -> Self {
        let lower = sql.to_ascii_lowercase();
        let name_end = lower.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(lower.len());
        let (name, rest) = lower.split_at(name_end);
        let inside = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or("", |(inside, _)| inside);
        let mut numbers = inside.split(',').map(|part| part.trim().parse::<u64>().ok());
        let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
        let small = |number: Option<u64>, default: u8| number.and_then(|n| u8::try_from(n).ok()).unwrap_or(default);
        let unsigned = rest.contains("unsigned") || rest.contains("zerofill");
        let int = |bits| Self::Int { bits, unsigned };
        let text = |chars| Self::Text { chars, fixed: false };
        match name {
            "tinyint" => int(8),
            "smallint" => int(16),
            "mediumint" => int(24),
            "int" | "integer" => int(32),
            "bigint" => int(64),
            "decimal" | "numeric" => Self::Decimal { digits: small(first, 10), scale: small(second, 0), unsigned },
            "float" => Self::Float,
            "double" => Self::Double,
            "bit" => Self::Bit(small(first, 1)),
            "char" => Self::Text { chars: first.unwrap_or(1), fixed: true },
            "varchar" => text(first.unwrap_or(0)),
            "tinytext" => text(255),
            "text" => text(65_535),
            "mediumtext" => text(16_777_215),
            "longtext" => text(u64::from(u32::MAX)),
            "enum" | "set" => Self::Listed,
            "json" => Self::Json,
            "binary" => Self::Bytes { bytes: first.unwrap_or(1) },
            "varbinary" => Self::Bytes { bytes: first.unwrap_or(0) },
            "tinyblob" => Self::Bytes { bytes: 255 },
            "blob" => Self::Bytes { bytes: 65_535 },
            "mediumblob" => Self::Bytes { bytes: 16_777_215 },
            "longblob" => Self::Bytes { bytes: u64::from(u32::MAX) },
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
            | "geometrycollection" | "geomcollection" => Self::Spatial,
            "date" => Self::Date,
            "datetime" => Self::DateTime(small(first, 0)),
            "timestamp" => Self::Timestamp(small(first, 0)),
            "time" => Self::Time(small(first, 0)),
            "year" => Self::Year,
            _ => Self::Other,
        }
    }

    /// True when values of the Arrow type are this type's values as they are captured.
    fn is_of(self, data_type: &DataType) -> bool {
        use DataType::*;
        match (self, value_type(data_type)) {
            (Self::Int { bits, unsigned: false }, Int8 | Int16 | Int32 | Int64) => {
                Some(u32::from(bits.next_power_of_two())) == data_type.primitive_width().map(|bytes| bytes as u32 * 8)
            }
            (Self::Int { bits, unsigned: true }, UInt8 | UInt16 | UInt32 | UInt64) => {
                Some(u32::from(bits.next_power_of_two())) == data_type.primitive_width().map(|bytes| bytes as u32 * 8)
            }
            (Self::Decimal { digits, scale, .. }, Decimal128(p, s) | Decimal256(p, s)) => {
                digits == *p && i16::from(scale) == i16::from(*s)
            }
            (Self::Float, Float32) | (Self::Double, Float64) | (Self::Bit(1), Boolean) | (Self::Bit(_), UInt64) => true,
            (Self::Text { .. } | Self::Listed | Self::Json, Utf8) => true,
            (Self::Bytes { .. } | Self::Spatial, Binary) => true,
            (Self::Date, Date32) | (Self::Year, UInt16) => true,
            (Self::DateTime(_), Timestamp(TimeUnit::Microsecond, None)) => true,
            (Self::Timestamp(_), Timestamp(TimeUnit::Microsecond, Some(_))) => true,
            (Self::Time(_), Duration(TimeUnit::Microsecond)) => true,
            _ => false,
        }
    }

    fn can_be_key(self) -> bool {
        match self {
            Self::Text { chars, .. } => chars <= KEY_TEXT_CHARS as u64,
            Self::Bytes { bytes } => bytes <= KEY_TEXT_CHARS as u64,
            Self::Json | Self::Spatial | Self::Other => false,
            _ => true,
        }
    }
}

fn decimal_digits(kind: Kind) -> Option<(u8, u8, bool)> {
    Some(match kind {
        Kind::Int { bits, unsigned } => {
            let digits = match bits {
                8 => 3,
                16 => 5,
                24 => 8,
                32 => 10,
                _ => 20,
            };
            (digits, 0, unsigned)
        }
        Kind::Decimal { digits, scale, unsigned } => (digits.saturating_sub(scale), scale, unsigned),
        _ => return None,
    })
}

/// True when a column of type `actual` holds the values of `wanted` exactly, or refuses those that it does not: a text
/// that is too long, a moment that is out of range. A type that would round or convert does not hold them.
pub(super) fn holds(actual: &str, wanted: &str) -> bool {
    let (a, w) = (Kind::parse(actual), Kind::parse(wanted));
    match (a, w) {
        _ if a == w && a != Kind::Other => true,
        (Kind::Int { bits: a, unsigned: s }, Kind::Int { bits: w, unsigned: t }) => {
            if s == t {
                a >= w
            } else {
                t && a > w
            }
        }
        (Kind::Decimal { digits, scale, unsigned }, _) if decimal_digits(w).is_some() => {
            decimal_digits(w).is_some_and(|(before, after, positive)| {
                digits.saturating_sub(scale) >= before && scale >= after && (!unsigned || positive)
            })
        }
        (Kind::Double, Kind::Float) => true,
        (Kind::Double, Kind::Int { bits, .. }) => bits <= 32,
        (Kind::Text { fixed: true, .. }, Kind::Text { fixed, .. }) => fixed,
        (Kind::Text { .. }, Kind::Text { .. } | Kind::Json | Kind::Listed) => true,
        (Kind::Listed | Kind::Json, Kind::Text { .. } | Kind::Json | Kind::Listed) => true,
        (Kind::Bytes { .. } | Kind::Spatial, Kind::Bytes { .. } | Kind::Spatial) => true,
        (Kind::DateTime(a) | Kind::Timestamp(a), Kind::DateTime(w) | Kind::Timestamp(w)) => a >= w,
        (Kind::Time(a), Kind::Time(w)) => a >= w,
        // MariaDB's UUID, INET6 and the like take their own text.
        (Kind::Other, Kind::Text { .. }) => true,
        _ => false,
    }
}

/// True when the target can turn a column of type `actual` into `wanted` and the values stay as they are.
pub(super) fn widens(actual: &str, wanted: &str) -> bool {
    let (a, w) = (Kind::parse(actual), Kind::parse(wanted));
    match (a, w) {
        (Kind::Listed, Kind::Listed) => members(actual) < members(wanted),
        _ if a == w => false,
        (Kind::Text { chars: a, .. }, Kind::Text { chars: w, .. }) => w > a,
        (Kind::Listed, Kind::Text { chars, .. }) => chars >= 255,
        (Kind::Bytes { bytes: a }, Kind::Bytes { bytes: w }) => w > a,
        (Kind::DateTime(a), Kind::DateTime(w)) | (Kind::Timestamp(a), Kind::Timestamp(w)) => w > a,
        (Kind::Time(a), Kind::Time(w)) => w > a,
        (Kind::Text { .. } | Kind::Bytes { .. } | Kind::Timestamp(_) | Kind::Listed | Kind::Json | Kind::Other, _) => {
            false
        }
        (_, Kind::Text { chars, .. }) => decimal_digits(a).is_some() && chars >= 255,
        _ => holds(wanted, actual) && !holds(actual, wanted),
    }
}

/// The number of members of an ENUM or SET.
fn members(sql: &str) -> usize {
    // A quote inside of a member is doubled, and so counts as an end and a beginning.
    let (mut count, mut inside) = (0, false);
    for letter in sql.chars() {
        match (letter, inside) {
            ('\'', _) => inside = !inside,
            (',', false) => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn types_keep_what_they_hold() {
        for (actual, wanted, held) in [
            ("bigint(20)", "int", true),
            ("int(11)", "int", true),
            ("int(10) unsigned", "int", false),
            ("bigint(20)", "int unsigned", true),
            ("decimal(20,0)", "bigint unsigned", true),
            ("decimal(20,0) unsigned", "bigint", false),
            ("decimal(12,2)", "decimal(12,4)", false),
            ("double", "decimal(5,2)", false),
            ("double", "longtext CHARACTER SET utf8mb4", false),
            ("varchar(20)", "longtext CHARACTER SET utf8mb4", true),
            ("char(20)", "longtext CHARACTER SET utf8mb4", false),
            ("datetime(3)", "datetime(6)", false),
            ("timestamp(6)", "datetime(6)", true),
            ("time", "time(6)", false),
            ("uuid", "char(36) CHARACTER SET ascii COLLATE ascii_bin", true),
            ("longblob", "longtext CHARACTER SET utf8mb4", false),
        ] {
            assert_eq!(holds(actual, wanted), held, "{wanted} in {actual}");
        }
        assert!(
            widens("varchar(20)", "varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin") && widens("int", "bigint")
        );
        assert!(widens("decimal(5,2)", "longtext CHARACTER SET utf8mb4") && widens("enum('a')", "enum('a','b,''c')"));
        assert!(!widens("bigint", "int") && !widens("double", "longtext") && !widens("longtext", "varchar(3)"));
        assert!(!widens("int(11)", "int") && !widens("enum('a','b')", "enum('b','a')"));
    }

    #[test]
    fn a_type_of_the_family_is_kept() {
        let field = |data_type: DataType, metadata: &[(&str, &str)]| {
            let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            Field::new("c", data_type, true).with_metadata(metadata.collect::<HashMap<_, _>>())
        };
        let text = [("source.type", "varchar(20)"), ("source.charset", "latin1"), ("source.collation", "latin1_bin")];
        let native_sql = |field: &Field, in_key| native(field, in_key).map(|native| native.sql());
        assert_eq!(
            native_sql(&field(DataType::Utf8, &text), true).as_deref(),
            Some("varchar(20) CHARACTER SET latin1 COLLATE latin1_bin")
        );
        let decimal = field(DataType::Decimal128(10, 2), &[("source.type", "decimal(10,2) unsigned")]);
        assert_eq!(native_sql(&decimal, false).as_deref(), Some("decimal(10,2) unsigned"));
        // Computed on the way, of PostgreSQL, or no text that a key can hold.
        assert_eq!(native_sql(&field(DataType::Utf8, &[("source.type", "int")]), false), None);
        assert_eq!(
            native_sql(&field(DataType::Int32, &[("source.type", "integer"), ("source.number", "1")]), false),
            None
        );
        assert_eq!(native_sql(&field(DataType::Binary, &[("source.type", "blob")]), true), None);
    }
}
