//! What a script gives, as a value of a column.

use rhai::Dynamic;

use super::super::decimal::Decimal;
use super::super::value::Value;

/// A value of rhai as one of a column; `()` is NULL.
pub(super) fn value(given: Dynamic) -> Value {
    if given.is_unit() {
        return Value::Null;
    }
    if let Ok(flag) = given.as_bool() {
        return Value::Flag(flag);
    }
    if let Ok(number) = given.as_int() {
        return Value::Integer(number);
    }
    if let Ok(number) = given.as_float() {
        return Value::Float(number);
    }
    if let Ok(letter) = given.as_char() {
        return Value::Text(letter.into());
    }
    let other = if given.is_array() {
        "a list"
    } else if given.is_map() {
        "a map"
    } else {
        "another thing"
    };
    match given.try_cast_result::<Decimal>() {
        Ok(decimal) => Value::Decimal(decimal),
        Err(given) => given.into_string().map_or(Value::Other(other), Value::Text),
    }
}
