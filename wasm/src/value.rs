//! Cells as components see them: the types of `wit/function.wit`, in Rust.

#[cfg(feature = "wasm")]
use wasmtime::component::{ComponentType, Lift, Lower};

/// A cell.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "wasm", derive(ComponentType, Lift, Lower), component(variant))]
pub enum Value {
    /// NULL.
    #[cfg_attr(feature = "wasm", component(name = "null"))]
    Null,
    /// True or false.
    #[cfg_attr(feature = "wasm", component(name = "boolean"))]
    Boolean(bool),
    /// A whole number.
    #[cfg_attr(feature = "wasm", component(name = "integer"))]
    Integer(i64),
    /// A floating point number.
    #[cfg_attr(feature = "wasm", component(name = "float"))]
    Float(f64),
    /// Digits with an optional sign and point, as `-12.50`; from a component any text.
    #[cfg_attr(feature = "wasm", component(name = "decimal"))]
    Decimal(String),
    /// Text.
    #[cfg_attr(feature = "wasm", component(name = "text"))]
    Text(String),
    /// Bytes.
    #[cfg_attr(feature = "wasm", component(name = "bytes"))]
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    #[cfg_attr(feature = "wasm", component(name = "date"))]
    Date(i32),
    /// Nanoseconds since midnight; from a component any number.
    #[cfg_attr(feature = "wasm", component(name = "time"))]
    Time(u64),
    /// In UTC.
    #[cfg_attr(feature = "wasm", component(name = "instant"))]
    Instant(Moment),
    /// A date with a time of day, and no zone.
    #[cfg_attr(feature = "wasm", component(name = "date-time"))]
    DateTime(Moment),
}

/// A point on a clock and a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "wasm", derive(ComponentType, Lift, Lower), component(record))]
pub struct Moment {
    /// Seconds since 1970-01-01T00:00:00.
    pub seconds: i64,
    /// Nanoseconds behind that second, 0 to 999,999,999; from a component any number.
    pub nanoseconds: u32,
}
