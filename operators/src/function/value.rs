//! What scripts and components give, before it is a cell.

use super::decimal::Decimal;

/// A value that was given.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Integer(i64),
    Float(f64),
    Decimal(Decimal),
    Text(String),
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Nanoseconds since midnight.
    Time(u64),
    /// Nanoseconds since 1970-01-01, in UTC.
    Instant(i128),
    /// Nanoseconds since 1970-01-01, without a zone.
    DateTime(i128),
    /// Something that is no cell; what it is, for people.
    Other(&'static str),
}

impl Value {
    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "a boolean",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a floating point number",
            Self::Decimal(_) => "a decimal",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::Date(_) => "a date",
            Self::Time(_) => "a time of day",
            Self::Instant(_) => "an instant",
            Self::DateTime(_) => "a date with a time of day",
            Self::Other(what) => what,
        }
    }
}
