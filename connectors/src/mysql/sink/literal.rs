//! Cells as literals of SQL.
//!
//! Sessions run with NO_BACKSLASH_ESCAPES: in a text only the quote is special. Bytes are hexadecimal, so that a
//! statement is valid UTF-8 whatever it carries.

use std::fmt::Write;

use arrow::datatypes::TimeUnit;

use crate::sql_target::cells::{Cells, Kind};
use crate::sql_target::{format_date, format_time, format_timestamp};

/// First day and microsecond of year 0, and of year 10000: MySQL's dates are in between.
const DAYS: std::ops::Range<i64> = -719_528..2_932_897;
const MICROS: std::ops::Range<i64> = -719_528 * 86_400_000_000..2_932_897 * 86_400_000_000;

/// Why a cell has no place in MySQL, if so. What the server can say itself is left to it.
pub(super) fn objection(cells: &Cells, kind: Kind, row: usize) -> Option<&'static str> {
    if cells.is_null(row) {
        return None;
    }
    match (cells, kind) {
        (Cells::Float32(array), _) if !array.value(row).is_finite() => {
            Some("holds NaN or infinity, which MySQL has not")
        }
        (Cells::Float64(array), _) if !array.value(row).is_finite() => {
            Some("holds NaN or infinity, which MySQL has not")
        }
        (Cells::Int(array), Kind::Date) if !DAYS.contains(&array.value(row)) => {
            Some("holds a date outside of the years 0 to 9999")
        }
        (Cells::Int(array), Kind::Stamp { .. }) if !MICROS.contains(&array.value(row)) => {
            Some("holds a moment outside of the years 0 to 9999")
        }
        _ => None,
    }
}

/// At most how many bytes a cell takes.
pub(super) fn size(cells: &Cells, row: usize) -> usize {
    match cells {
        // Every character a quote, at worst.
        Cells::Text(array) => 2 * array.value_length(row).unsigned_abs() as usize + 4,
        Cells::Bytes(array) => 2 * array.value_length(row).unsigned_abs() as usize + 5,
        Cells::Decimal128(_) | Cells::Decimal256(_) => 84,
        _ => 36,
    }
}

/// Appends a cell.
pub(super) fn push(cells: &Cells, kind: Kind, row: usize, out: &mut String) {
    if cells.is_null(row) {
        out.push_str("NULL");
        return;
    }
    match cells {
        Cells::Bool(array) => out.push(if array.value(row) { '1' } else { '0' }),
        Cells::Int(array) => push_int(array.value(row), kind, out),
        Cells::UInt64(array) => display(out, array.value(row)),
        // A double's digits even for a float: read twice, half of a digit could get lost.
        Cells::Float32(array) => exponent(out, f64::from(array.value(row))),
        Cells::Float64(array) => exponent(out, array.value(row)),
        Cells::Text(array) => push_text(array.value(row), out),
        Cells::Bytes(array) => push_bytes(array.value(row), out),
        Cells::Decimal128(array) if array.scale() > 30 => {
            quoted(out, |out| decimal(array.value(row), array.scale(), out));
        }
        Cells::Decimal128(array) => decimal(array.value(row), array.scale(), out),
        // More digits than DECIMAL has are kept as text.
        Cells::Decimal256(array) if array.precision() > 65 || array.scale() > 30 => {
            quoted(out, |out| decimal(array.value(row), array.scale(), out));
        }
        Cells::Decimal256(array) => decimal(array.value(row), array.scale(), out),
    }
}

/// Appends a text in quotes.
pub(super) fn push_text(text: &str, out: &mut String) {
    out.push('\'');
    let mut rest = text;
    while let Some(at) = rest.find('\'') {
        out.push_str(&rest[..=at]);
        out.push('\'');
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('\'');
}

fn push_bytes(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("x'");
    out.extend(
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).map(char::from),
    );
    out.push('\'');
}

fn push_int(value: i64, kind: Kind, out: &mut String) {
    match kind {
        Kind::Date => quoted(out, |out| format_date(value, out)),
        Kind::Stamp { .. } => quoted(out, |out| format_timestamp(value, TimeUnit::Microsecond, false, out)),
        Kind::Time | Kind::Duration => quoted(out, |out| format_time(value, TimeUnit::Microsecond, out)),
        _ => display(out, value),
    }
}

fn quoted(out: &mut String, write: impl FnOnce(&mut String)) {
    out.push('\'');
    write(out);
    out.push('\'');
}

fn display(out: &mut String, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("writing to a String does not fail");
}

/// With an exponent a number is a DOUBLE, without one a DECIMAL.
fn exponent(out: &mut String, value: f64) {
    write!(out, "{value:e}").expect("writing to a String does not fail");
}

/// Digits with a point before the last `scale` of them.
fn decimal(value: impl std::fmt::Display, scale: i8, out: &mut String) {
    let start = out.len();
    display(out, value);
    if scale <= 0 {
        if out[start..].trim_start_matches('-') != "0" {
            out.extend(std::iter::repeat_n('0', scale.unsigned_abs() as usize));
        }
        return;
    }
    let scale = scale as usize;
    let digits_start = if out[start..].starts_with('-') { start + 1 } else { start };
    let missing = (scale + 1).saturating_sub(out.len() - digits_start);
    out.insert_str(digits_start, &"0".repeat(missing));
    out.insert(out.len() - scale, '.');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_decimal(value: i128, scale: i8) -> String {
        let mut out = "x".to_owned();
        decimal(value, scale, &mut out);
        out
    }

    #[test]
    fn literals() {
        for (value, scale, text) in [
            (1_230, 2, "x12.30"),
            (-5, 2, "x-0.05"),
            (0, 3, "x0.000"),
            (12, -2, "x1200"),
            (0, -2, "x0"),
            (-7, 0, "x-7"),
        ] {
            assert_eq!(of_decimal(value, scale), text);
        }
        let mut out = String::new();
        push_text("it's \\ ''", &mut out);
        push_bytes(b"\0\xff", &mut out);
        push_int(-3_600_000_000, Kind::Duration, &mut out);
        assert_eq!(out, r"'it''s \ '''''x'00ff''-01:00:00.000000'");
    }
}
