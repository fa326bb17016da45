//! From declared types to Arrow types.
//!
//! SQLite gives a column an *affinity* and lets every cell hold what it likes; a pipeline needs one type per column. The
//! declared type decides, by SQLite's own affinity rules ("Datatypes In SQLite", section 3.1, SQLite 3.54) refined by
//! the names that people use for booleans, decimals and dates.

use arrow::datatypes::{DataType, TimeUnit};
use schemars::JsonSchema;
use serde::Deserialize;

/// What becomes of columns declared DATE, DATETIME or TIMESTAMP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dates {
    /// They stay what SQLite stores: text (numbers are written as text).
    #[default]
    Text,
    /// ISO 8601 text becomes a date (DATE) or a timestamp of microseconds (DATETIME, TIMESTAMP); anything else in such
    /// a column is a bad row.
    Parse,
}

/// How the cells of one column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// INTEGER affinity.
    Int64,
    /// REAL affinity, and NUMERIC or DECIMAL without a precision.
    Float64,
    /// TEXT affinity, no type, or a name that says nothing: text as it is, numbers written as text.
    Text,
    /// BLOB.
    Binary,
    /// BOOLEAN: the integers 0 and 1.
    Boolean,
    /// DECIMAL(p, s) or NUMERIC(p, s).
    Decimal {
        /// Digits in all, at most 38.
        precision: u8,
        /// Digits behind the point.
        scale: i8,
    },
    /// DATE with [`Dates::Parse`].
    Date,
    /// DATETIME or TIMESTAMP with [`Dates::Parse`].
    Timestamp,
}

/// The most digits that Arrow's 128-bit decimal holds.
const DECIMAL_DIGITS_MAX: u8 = 38;

impl Kind {
    /// The kind of a column by its declared type, which may be empty.
    pub(crate) fn of(declared: &str, dates: Dates) -> Self {
        let declared = declared.trim().to_ascii_uppercase();
        let (name, arguments) = match declared.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.trim_end_matches(')')),
            None => (declared.as_str(), ""),
        };
        let parsed = |kind| if dates == Dates::Parse { kind } else { Self::Text };
        match name {
            "BOOLEAN" | "BOOL" => Self::Boolean,
            "DATE" => parsed(Self::Date),
            "DECIMAL" | "NUMERIC" | "NUMBER" | "DEC" => decimal(arguments),
            _ if name == "DATETIME" || name.starts_with("TIMESTAMP") => parsed(Self::Timestamp),
            _ => by_affinity(name),
        }
    }

    /// The Arrow type of such a column.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Boolean => DataType::Boolean,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        }
    }

    /// What a cell of such a column must hold, for error texts.
    pub(crate) fn expectation(self) -> String {
        match self {
            Self::Int64 => "an integer".into(),
            Self::Float64 => "a number that a double holds exactly".into(),
            Self::Text => "text (UTF-8) or a number".into(),
            Self::Binary => "a blob".into(),
            Self::Boolean => "0 or 1".into(),
            Self::Decimal { precision, scale } => {
                format!("a number of at most {precision} digits, {scale} of them behind the point")
            }
            Self::Date => "an ISO 8601 date".into(),
            Self::Timestamp => "an ISO 8601 date and time".into(),
        }
    }
}

fn decimal(arguments: &str) -> Kind {
    let mut numbers = arguments.split(',').map(|number| number.trim().parse::<u8>());
    let precision = numbers.next();
    let scale = numbers.next().unwrap_or(Ok(0));
    match (precision, scale) {
        (Some(Ok(precision)), Ok(scale)) if (1..=DECIMAL_DIGITS_MAX).contains(&precision) && scale <= precision => {
            Kind::Decimal { precision, scale: scale as i8 }
        }
        _ => Kind::Float64,
    }
}

fn by_affinity(name: &str) -> Kind {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["INT"]) {
        Kind::Int64
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        Kind::Text
    } else if has(&["BLOB"]) {
        Kind::Binary
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Kind::Float64
    } else {
        Kind::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types() {
        for (declared, expected) in [
            ("INTEGER", Kind::Int64),
            ("unsigned big int", Kind::Int64),
            ("TINYINT(1)", Kind::Int64),
            ("VARCHAR(20)", Kind::Text),
            ("", Kind::Text),
            ("JSON", Kind::Text),
            ("BLOB", Kind::Binary),
            ("DOUBLE PRECISION", Kind::Float64),
            ("bool", Kind::Boolean),
            ("DECIMAL(12,2)", Kind::Decimal { precision: 12, scale: 2 }),
            ("NUMERIC ( 7 )", Kind::Decimal { precision: 7, scale: 0 }),
            ("DECIMAL(60,2)", Kind::Float64),
            ("NUMERIC", Kind::Float64),
            ("DATE", Kind::Date),
            ("TIMESTAMP WITH TIME ZONE", Kind::Timestamp),
        ] {
            assert_eq!(Kind::of(declared, Dates::Parse), expected, "{declared}");
        }
        assert_eq!(Kind::of("DATETIME", Dates::Text), Kind::Text);
    }
}
