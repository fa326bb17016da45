//! Cells in PostgreSQL's binary format: arrays as parameters, and rows of COPY.
//!
//! Formats: `src/backend/utils/adt/*_send` of PostgreSQL 15, and its manual, COPY, Binary Format.

use std::error::Error as StdError;

use bytes::{BufMut, Bytes, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::column::Column;
use crate::sql_target::cells::{Cells, Kind};

/// Days and microseconds between 1970 and 2000, where PostgreSQL counts from.
pub(super) const DAYS_TO_2000: i64 = 10_957;
pub(super) const MICROS_TO_2000: i64 = 946_684_800_000_000;
/// First and last microsecond of a timestamp, and first and last day of a date, counted from 2000
/// (`datatype/timestamp.h`, `utils/date.h`): what is beyond would be taken for infinity.
const TIMESTAMP_RANGE: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
const DATE_RANGE: std::ops::Range<i64> = -2_451_545..2_145_031_949;

/// Why a cell has no place in PostgreSQL, if so. What the server can say itself is left to it.
pub(super) fn objection(cells: &Cells, kind: Kind, row: usize) -> Option<&'static str> {
    if cells.is_null(row) {
        return None;
    }
    match (cells, kind) {
        (Cells::Text(array), _) if array.value(row).as_bytes().contains(&0) => Some("holds a NUL character"),
        (Cells::Int(array), Kind::Date) => {
            let fits = array.value(row).checked_sub(DAYS_TO_2000).is_some_and(|days| DATE_RANGE.contains(&days));
            (!fits).then_some("holds a date that PostgreSQL does not have")
        }
        (Cells::Int(array), Kind::Stamp { .. }) => {
            let micros = array.value(row).checked_sub(MICROS_TO_2000);
            let fits = micros.is_some_and(|micros| TIMESTAMP_RANGE.contains(&micros));
            (!fits).then_some("holds a moment that PostgreSQL does not have")
        }
        _ => None,
    }
}

/// About how many bytes a cell takes.
pub(super) fn size(cells: &Cells, row: usize) -> usize {
    match cells {
        Cells::Text(array) => array.value_length(row).unsigned_abs() as usize + 4,
        Cells::Bytes(array) => array.value_length(row).unsigned_abs() as usize + 4,
        Cells::Decimal128(_) | Cells::Decimal256(_) => 28,
        _ => 12,
    }
}

/// Appends a cell with its length before it; `scratch` is any string.
pub(super) fn put(cells: &Cells, column: &Column, row: usize, out: &mut BytesMut, scratch: &mut String) {
    if cells.is_null(row) {
        out.put_i32(-1);
        return;
    }
    match cells {
        Cells::Bool(array) => {
            out.put_i32(1);
            out.put_u8(u8::from(array.value(row)));
        }
        Cells::Int(array) => put_int(array.value(row), column, out),
        Cells::Float32(array) => {
            out.put_i32(4);
            out.put_f32(array.value(row));
        }
        Cells::Float64(array) => {
            out.put_i32(8);
            out.put_f64(array.value(row));
        }
        Cells::Text(array) => put_bytes(array.value(row).as_bytes(), out),
        Cells::Bytes(array) => put_bytes(array.value(row), out),
        Cells::UInt64(array) => {
            let value = array.value(row);
            numeric(false, u128::from(value), 0, out);
        }
        Cells::Decimal128(array) => {
            let value = array.value(row);
            numeric(value < 0, value.unsigned_abs(), array.scale(), out);
        }
        Cells::Decimal256(array) => {
            let value = array.value(row);
            match value.to_i128() {
                Some(small) => numeric(small < 0, small.unsigned_abs(), array.scale(), out),
                None => {
                    use std::fmt::Write;
                    scratch.clear();
                    write!(scratch, "{value}").expect("writing to a String does not fail");
                    let (negative, digits) = scratch.strip_prefix('-').map_or((false, scratch.as_str()), |d| (true, d));
                    numeric_of_digits(negative, digits.as_bytes(), array.scale(), out);
                }
            }
        }
    }
}

fn put_bytes(bytes: &[u8], out: &mut BytesMut) {
    // Staging and the server's own limit of 1 GiB keep it far below.
    out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    out.put_slice(bytes);
}

fn put_int(value: i64, column: &Column, out: &mut BytesMut) {
    match column.kind {
        Kind::Date => {
            out.put_i32(4);
            out.put_i32((value - DAYS_TO_2000) as i32);
        }
        Kind::Stamp { .. } => {
            out.put_i32(8);
            out.put_i64(value - MICROS_TO_2000);
        }
        Kind::Duration => {
            out.put_i32(16);
            out.put_i64(value);
            out.put_i64(0);
        }
        _ => match column.wire {
            Type::INT2 => {
                out.put_i32(2);
                out.put_i16(value as i16);
            }
            Type::INT4 => {
                out.put_i32(4);
                out.put_i32(value as i32);
            }
            _ => {
                out.put_i32(8);
                out.put_i64(value);
            }
        },
    }
}

/// A number of at most 39 digits with `scale` of them behind the point.
fn numeric(negative: bool, value: u128, scale: i8, out: &mut BytesMut) {
    let mut digits = [b'0'; 40];
    let mut at = digits.len();
    let mut rest = value;
    // Two divisions of 128 bits; the rest is done on words.
    while rest > 0 {
        let mut word = (rest % 10_000_000_000_000_000_000) as u64;
        rest /= 10_000_000_000_000_000_000;
        let end = at.saturating_sub(19);
        while word > 0 {
            at -= 1;
            digits[at] = b'0' + (word % 10) as u8;
            word /= 10;
        }
        if rest > 0 {
            at = end;
        }
    }
    numeric_of_digits(negative, &digits[at..], scale, out);
}

/// `NUMERIC`: groups of four digits on both sides of the point (`numeric_send`).
fn numeric_of_digits(negative: bool, digits: &[u8], scale: i8, out: &mut BytesMut) {
    let scale = i32::from(scale);
    let shown = scale.max(0);
    // The digit i stands at the power of ten `power`; groups begin where it is a multiple of four.
    let mut groups: [i16; 32] = [0; 32];
    let mut count = 0usize;
    let mut weight = 0i32;
    for (i, digit) in digits.iter().enumerate() {
        let digit = i16::from(digit - b'0');
        if count == 0 && digit == 0 {
            continue;
        }
        let power = digits.len() as i32 - 1 - i as i32 - scale;
        let group = power.div_euclid(4);
        if count == 0 {
            weight = group;
        }
        let index = (weight - group) as usize;
        count = index + 1;
        groups[index] += digit * [1, 10, 100, 1_000][power.rem_euclid(4) as usize];
    }
    while count > 0 && groups[count - 1] == 0 {
        count -= 1;
    }
    out.put_i32(8 + 2 * count as i32);
    out.put_i16(count as i16);
    out.put_i16(if count == 0 { 0 } else { weight as i16 });
    out.put_u16(if negative && count > 0 { 0x4000 } else { 0 });
    out.put_i16(shown as i16);
    for group in &groups[..count] {
        out.put_i16(*group);
    }
}

/// A parameter that is encoded already.
#[derive(Debug)]
pub(super) struct Encoded(Bytes);

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Some rows of a column as an array.
pub(super) fn array(cells: &Cells, column: &Column, rows: impl ExactSizeIterator<Item = usize>) -> Encoded {
    let mut out = BytesMut::with_capacity(20 + rows.len() * 12);
    let mut scratch = String::new();
    put_array_header(column.wire.oid(), rows.len(), &mut out);
    for row in rows {
        put(cells, column, row, &mut out, &mut scratch);
    }
    Encoded(out.freeze())
}

/// Numbers as an array of `bigint`.
pub(super) fn numbers(values: impl ExactSizeIterator<Item = i64>) -> Encoded {
    let mut out = BytesMut::with_capacity(20 + values.len() * 12);
    put_array_header(Type::INT8.oid(), values.len(), &mut out);
    for value in values {
        out.put_i32(8);
        out.put_i64(value);
    }
    Encoded(out.freeze())
}

/// One dimension from 1 on, NULLs allowed (`array_send`).
fn put_array_header(element: u32, length: usize, out: &mut BytesMut) {
    out.put_i32(i32::from(length > 0));
    out.put_i32(1);
    out.put_u32(element);
    if length > 0 {
        out.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
        out.put_i32(1);
    }
}

/// What a COPY begins and ends with.
pub(super) const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub(super) const COPY_TRAILER: i16 = -1;

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(negative: bool, value: u128, scale: i8) -> Vec<i16> {
        let mut out = BytesMut::new();
        numeric(negative, value, scale, &mut out);
        out[4..].chunks(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect()
    }

    #[test]
    fn numbers_are_groups_of_four_digits() {
        assert_eq!(encoded(false, 0, 2), [0, 0, 0, 2]);
        assert_eq!(encoded(false, 1_230, 2), [2, 0, 0, 2, 12, 3_000]);
        assert_eq!(encoded(true, 5, 2), [1, -1, 0x4000, 2, 500]);
        assert_eq!(encoded(false, 123_456_789, 0), [3, 2, 0, 0, 1, 2_345, 6_789]);
        assert_eq!(encoded(false, 10_000, 0), [1, 1, 0, 0, 1]);
        assert_eq!(encoded(false, 12, -3), [2, 1, 0, 0, 1, 2_000]);
        assert_eq!(encoded(false, 1, 9), [1, -3, 0, 9, 1_000]);
        let most = encoded(false, 10u128.pow(38) - 1, 0);
        assert_eq!((most[0], most[1], most[4], most[5]), (10, 9, 99, 9_999));
        assert_eq!(encoded(false, 10u128.pow(20) + 1, 0), [6, 5, 0, 0, 1, 0, 0, 0, 0, 1]);
    }
}
