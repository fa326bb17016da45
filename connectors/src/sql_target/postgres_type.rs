//! Column types of PostgreSQL, as `format_type` spells them.

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::column_type::is_extension;
use super::mysql_type::value_type;

/// The type of a column.
pub(super) fn generic(field: &Field, in_key: bool) -> Option<String> {
    use DataType::*;
    Some(match value_type(field.data_type()) {
        Boolean => "boolean".to_owned(),
        Int8 | UInt8 | Int16 => "smallint".to_owned(),
        UInt16 | Int32 => "integer".to_owned(),
        UInt32 | Int64 => "bigint".to_owned(),
        UInt64 => "numeric(20,0)".to_owned(),
        Float16 | Float32 => "real".to_owned(),
        Float64 => "double precision".to_owned(),
        Utf8 | LargeUtf8 | Utf8View if !in_key && is_extension(field, "arrow.json") => "jsonb".to_owned(),
        Utf8 | LargeUtf8 | Utf8View if is_extension(field, "aqueduct.uuid") => "uuid".to_owned(),
        Null | Utf8 | LargeUtf8 | Utf8View => "text".to_owned(),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "bytea".to_owned(),
        Date32 => "date".to_owned(),
        // Microseconds are all that PostgreSQL has.
        Time64(TimeUnit::Nanosecond) | Timestamp(TimeUnit::Nanosecond, _) => "bigint".to_owned(),
        Date64 | Timestamp(_, None) => "timestamp without time zone".to_owned(),
        Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        Time32(_) | Time64(_) => "time without time zone".to_owned(),
        Duration(TimeUnit::Microsecond) => "interval".to_owned(),
        Duration(_) => "bigint".to_owned(),
        Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s) | Decimal256(p, s) => {
            let (p, s) = if *s < 0 { (p.saturating_add(s.unsigned_abs()), 0) } else { (*p.max(&s.unsigned_abs()), *s) };
            format!("numeric({p},{s})")
        }
        _ => return None,
    })
}

/// The source's own type, where the source is PostgreSQL too and the column's values are still its values. Whether the
/// target knows the type is to be asked.
pub(super) fn native(field: &Field) -> Option<String> {
    let of_source = field.metadata().get("source.type")?;
    field.metadata().get("source.number")?;
    let kind = Kind::parse(of_source);
    let generic = Kind::parse(&generic(field, false)?);
    let same = match (kind, generic) {
        // Any type has a text, and takes it back.
        (Kind::Text { .. } | Kind::Own, Kind::Text { .. }) => true,
        _ if value_type(field.data_type()) == &DataType::Utf8 => true,
        (Kind::Own, _) => false,
        (kind, generic) => kind == generic,
    };
    same.then(|| of_source.clone())
}

/// What matters of a type when one is to hold the values of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Int(u8),
    Real,
    Double,
    /// Digits before and after the point.
    Numeric(Option<(u16, u16)>),
    /// Characters; `None` for any number.
    Text {
        chars: Option<u64>,
    },
    /// `character(n)`: blanks are added and removed.
    Padded(u64),
    Bytes,
    Date,
    Timestamp {
        digits: u8,
        utc: bool,
    },
    Time(u8),
    Interval,
    Json,
    Uuid,
    /// Anything else: it is written and read as its own text.
    Own,
}

impl Kind {
    fn parse(sql: &str) -> Self {
        let inside = sql.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inside, _)| inside);
        let mut numbers = inside.unwrap_or("").split(',').map(|part| part.trim().parse::<u16>().ok());
        let (first, second) = (numbers.next().flatten(), numbers.next().flatten());
        let digits = first.and_then(|n| u8::try_from(n).ok()).unwrap_or(6);
        let name: String = match sql.split_once('(') {
            Some((name, rest)) => format!("{name}{}", rest.split_once(')').map_or("", |(_, rest)| rest)),
            None => sql.to_owned(),
        };
        match name.as_str() {
            "boolean" => Self::Boolean,
            "smallint" => Self::Int(16),
            "integer" => Self::Int(32),
            "bigint" => Self::Int(64),
            "real" => Self::Real,
            "double precision" => Self::Double,
            "numeric" => Self::Numeric(first.map(|p| {
                let scale = second.unwrap_or(0);
                (p.saturating_sub(scale), scale)
            })),
            "text" => Self::Text { chars: None },
            "character varying" => Self::Text { chars: first.map(u64::from) },
            "character" => Self::Padded(first.map_or(1, u64::from)),
            "bytea" => Self::Bytes,
            "date" => Self::Date,
            "timestamp without time zone" => Self::Timestamp { digits, utc: false },
            "timestamp with time zone" => Self::Timestamp { digits, utc: true },
            "time without time zone" => Self::Time(digits),
            "interval" => Self::Interval,
            "json" | "jsonb" => Self::Json,
            "uuid" => Self::Uuid,
            _ => Self::Own,
        }
    }

    /// Digits before and after the point of an exact number.
    fn exact(self) -> Option<(u16, u16)> {
        match self {
            Self::Int(16) => Some((5, 0)),
            Self::Int(32) => Some((10, 0)),
            Self::Int(_) => Some((19, 0)),
            Self::Numeric(digits) => digits,
            _ => None,
        }
    }
}

/// True when a column of type `actual` holds the values of `wanted` exactly, or refuses those that it does not: a text
/// that is too long, a text that is no value of the type. A type that would round does not hold them.
pub(super) fn holds(actual: &str, wanted: &str) -> bool {
    let (a, w) = (Kind::parse(actual), Kind::parse(wanted));
    match (a, w) {
        (Kind::Own, Kind::Own) => actual == wanted,
        _ if a == w => true,
        (Kind::Int(a), Kind::Int(w)) => a >= w,
        (Kind::Numeric(None), Kind::Int(_) | Kind::Numeric(_)) => true,
        (Kind::Numeric(Some(a)), _) => w.exact().is_some_and(|w| a.0 >= w.0 && a.1 >= w.1),
        (Kind::Double, Kind::Real | Kind::Int(16 | 32)) => true,
        (Kind::Text { .. } | Kind::Json | Kind::Uuid | Kind::Own, Kind::Text { .. } | Kind::Json | Kind::Uuid) => true,
        (Kind::Text { .. }, Kind::Own) => true,
        (Kind::Timestamp { digits: a, utc: s }, Kind::Timestamp { digits: w, utc: t }) => s == t && a >= w,
        (Kind::Time(a), Kind::Time(w)) => a >= w,
        _ => false,
    }
}

/// True when the target can turn a column of type `actual` into `wanted` and the values stay as they are.
pub(super) fn widens(actual: &str, wanted: &str) -> bool {
    let (a, w) = (Kind::parse(actual), Kind::parse(wanted));
    match (a, w) {
        _ if a == w => false,
        (Kind::Text { chars: Some(a) }, Kind::Text { chars }) => chars.is_none_or(|w| w > a),
        (Kind::Text { .. } | Kind::Json | Kind::Uuid | Kind::Own | Kind::Padded(_), _) => false,
        (Kind::Int(_) | Kind::Numeric(_) | Kind::Boolean | Kind::Date, Kind::Text { chars: None }) => true,
        _ => holds(wanted, actual) && !holds(actual, wanted),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn types_keep_what_they_hold() {
        for (actual, wanted, held) in [
            ("bigint", "integer", true),
            ("integer", "bigint", false),
            ("numeric", "numeric(38,10)", true),
            ("numeric(12,2)", "numeric(12,4)", false),
            ("numeric(20,0)", "bigint", true),
            ("double precision", "bigint", false),
            ("double precision", "text", false),
            ("character varying(20)", "text", true),
            ("character(20)", "text", false),
            ("shop.colour", "text", true),
            ("timestamp(3) without time zone", "timestamp without time zone", false),
            ("timestamp with time zone", "timestamp without time zone", false),
            ("timestamp with time zone", "timestamp(3) with time zone", true),
            ("jsonb", "json", true),
            ("integer[]", "integer[]", true),
            ("integer[]", "bigint[]", false),
        ] {
            assert_eq!(holds(actual, wanted), held, "{wanted} in {actual}");
        }
        assert!(widens("integer", "bigint") && widens("integer", "text") && widens("numeric(5,2)", "numeric"));
        assert!(widens("character varying(20)", "character varying(30)") && widens("character varying(20)", "text"));
        assert!(!widens("bigint", "integer") && !widens("double precision", "text") && !widens("text", "text"));
    }

    #[test]
    fn a_type_of_the_source_is_kept() {
        let field = |data_type: DataType, of_source: &str| {
            let metadata = [("source.type", of_source), ("source.number", "1")];
            let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            Field::new("c", data_type, true).with_metadata(metadata.collect::<HashMap<_, _>>())
        };
        for (data_type, of_source, kept) in [
            (DataType::Utf8, "integer[]", true),
            (DataType::Utf8, "numeric", true),
            (DataType::Utf8, "shop.colour", true),
            (DataType::Utf8, "character varying(20)", true),
            (DataType::Decimal128(10, 2), "numeric(10,2)", true),
            (DataType::Decimal128(12, 2), "numeric(10,2)", false),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "timestamp(3) without time zone", false),
            (DataType::Int64, "integer", false),
            (DataType::Int32, "shop.positive", false),
        ] {
            assert_eq!(native(&field(data_type, of_source)).is_some(), kept, "{of_source}");
        }
    }
}
