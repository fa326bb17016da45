//! MySQL's binary JSON (`sql-common/json_binary.h`), printed exactly as the server prints it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::bytes::{Bytes, Decoded, Malformed};
use super::decimal::{decimal_text, packed_bytes};
use super::json_text::{write_double, write_string};
use super::temporal::unpack;

const SMALL_OBJECT: u8 = 0x00;
const LARGE_OBJECT: u8 = 0x01;
const SMALL_ARRAY: u8 = 0x02;
const LARGE_ARRAY: u8 = 0x03;
const LITERAL: u8 = 0x04;
const INT16: u8 = 0x05;
const UINT16: u8 = 0x06;
const INT32: u8 = 0x07;
const UINT32: u8 = 0x08;
const INT64: u8 = 0x09;
const UINT64: u8 = 0x0a;
const DOUBLE: u8 = 0x0b;
const STRING: u8 = 0x0c;
const OPAQUE: u8 = 0x0f;

/// The server lets documents nest a hundred deep.
const DEPTH_MAX: usize = 128;

/// Digits of a decimal in a document: the server keeps whole groups of nine, 65 digits being the most that count.
const DECIMAL_DIGITS_MAX: u8 = 81;

/// Characters per byte of a document that no honest document reaches (`\u0000` is six for one). Values in a document
/// may point at the same bytes, so that a small one could be printed without end.
const TEXT_PER_BYTE_MAX: usize = 16;
const TEXT_BYTES_MIN: usize = 64;

const BROKEN: Malformed = Malformed("its JSON document is not well formed");

/// Appends a document as text. Nothing at all stands for `null`, as it does to the server.
///
/// # Errors
/// When the document is not well formed; what was appended by then stays.
pub(super) fn print(document: &[u8], into: &mut String) -> Decoded<()> {
    let Some((&kind, value)) = document.split_first() else {
        into.push_str("null");
        return Ok(());
    };
    let limit = into.len() + document.len().saturating_mul(TEXT_PER_BYTE_MAX) + TEXT_BYTES_MIN;
    Printer { into, limit }.value(kind, value, 0)
}

struct Printer<'a> {
    into: &'a mut String,
    /// The text may not become longer than this.
    limit: usize,
}

impl Printer<'_> {
    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Decoded<()> {
        if self.into.len() > self.limit || depth > DEPTH_MAX {
            return Err(BROKEN);
        }
        match kind {
            SMALL_OBJECT => self.container(bytes, 2, true, depth),
            LARGE_OBJECT => self.container(bytes, 4, true, depth),
            SMALL_ARRAY => self.container(bytes, 2, false, depth),
            LARGE_ARRAY => self.container(bytes, 4, false, depth),
            OPAQUE => self.opaque(bytes),
            _ => self.scalar(kind, bytes),
        }
    }

    fn scalar(&mut self, kind: u8, bytes: &[u8]) -> Decoded<()> {
        let mut bytes = Bytes(bytes);
        match kind {
            LITERAL => self.into.push_str(match bytes.u8()? {
                0 => "null",
                1 => "true",
                2 => "false",
                _ => return Err(BROKEN),
            }),
            INT16 => self.number(bytes.u16()? as i16),
            UINT16 => self.number(bytes.u16()?),
            INT32 => self.number(bytes.u32()? as i32),
            UINT32 => self.number(bytes.u32()?),
            INT64 => self.number(bytes.u64()? as i64),
            UINT64 => self.number(bytes.u64()?),
            DOUBLE => write_double(f64::from_le_bytes(bytes.array()?), self.into),
            STRING => {
                let length = variable_length(&mut bytes)?;
                let text = std::str::from_utf8(bytes.take(length)?).map_err(|_| BROKEN)?;
                write_string(text, self.into);
            }
            _ => return Err(BROKEN),
        }
        Ok(())
    }

    fn number(&mut self, number: impl std::fmt::Display) {
        use std::fmt::Write;
        // Writing to a String does not fail.
        let _ = write!(self.into, "{number}");
    }

    /// An object or array: count and size, then entries for keys (offset, length) and values (type, offset or value),
    /// offsets counted from the count. `width` is the size of numbers in it.
    fn container(&mut self, bytes: &[u8], width: usize, is_object: bool, depth: usize) -> Decoded<()> {
        let mut head = Bytes(bytes);
        let count = head.uint_le(width)? as usize;
        let size = head.uint_le(width)? as usize;
        let whole = bytes.get(..size).ok_or(BROKEN)?;
        let keys_at = 2 * width;
        let key_entry = width + 2;
        let value_entry = width + 1;
        let values_at = if is_object { keys_at.saturating_add(count.saturating_mul(key_entry)) } else { keys_at };
        if values_at.saturating_add(count.saturating_mul(value_entry)) > size {
            return Err(BROKEN);
        }
        self.into.push(if is_object { '{' } else { '[' });
        for i in 0..count {
            if i > 0 {
                self.into.push_str(", ");
            }
            if is_object {
                let mut entry = Bytes(&whole[keys_at + i * key_entry..]);
                let at = entry.uint_le(width)? as usize;
                let length = usize::from(entry.u16()?);
                let key = at.checked_add(length).and_then(|end| whole.get(at..end)).ok_or(BROKEN)?;
                write_string(std::str::from_utf8(key).map_err(|_| BROKEN)?, self.into);
                self.into.push_str(": ");
            }
            let mut entry = Bytes(&whole[values_at + i * value_entry..]);
            let kind = entry.u8()?;
            let inline = matches!(kind, LITERAL | INT16 | UINT16) || (width == 4 && matches!(kind, INT32 | UINT32));
            if inline {
                self.value(kind, entry.0, depth + 1)?;
            } else {
                let at = entry.uint_le(width)? as usize;
                // A value stands behind the entries: so no container holds itself.
                if at < keys_at {
                    return Err(BROKEN);
                }
                self.value(kind, whole.get(at..).ok_or(BROKEN)?, depth + 1)?;
            }
        }
        self.into.push(if is_object { '}' } else { ']' });
        Ok(())
    }

    /// A value of a type that JSON does not have: the column type's number, a length, and the bytes.
    fn opaque(&mut self, bytes: &[u8]) -> Decoded<()> {
        let mut bytes = Bytes(bytes);
        let column_type = bytes.u8()?;
        let length = variable_length(&mut bytes)?;
        let value = bytes.take(length)?;
        match column_type {
            246 => {
                let mut value = Bytes(value);
                let (precision, scale) = (value.u8()?, value.u8()?);
                if precision == 0 || precision > DECIMAL_DIGITS_MAX || scale > precision {
                    return Err(BROKEN);
                }
                decimal_text(value.take(packed_bytes(precision, scale))?, precision, scale, self.into)
            }
            7 | 10 | 11 | 12 => self.temporal(column_type, value),
            _ => {
                self.number(format_args!("\"base64:type{column_type}:"));
                BASE64_STANDARD.encode_string(value, self.into);
                self.into.push('"');
                Ok(())
            }
        }
    }

    /// A date or time: one number of eight bytes, its lowest 24 bits the microseconds.
    fn temporal(&mut self, column_type: u8, value: &[u8]) -> Decoded<()> {
        let packed = Bytes(value).u64()? as i64;
        let magnitude = packed.unsigned_abs();
        let (clock, micro) = (magnitude >> 24, (magnitude & 0xff_ffff) as u32);
        if column_type == 11 {
            let (hour, minute, second) = ((clock >> 12) & 0x3ff, (clock >> 6) & 63, clock & 63);
            let sign = if packed < 0 { "-" } else { "" };
            self.number(format_args!("\"{sign}{hour:02}:{minute:02}:{second:02}.{micro:06}\""));
            return Ok(());
        }
        let moment = unpack(clock, micro);
        let (date, time) = (moment.date, (moment.hour, moment.minute, moment.second));
        self.number(format_args!("\"{:04}-{:02}-{:02}", date.year, date.month, date.day));
        if column_type != 10 {
            self.number(format_args!(" {:02}:{:02}:{:02}.{micro:06}", time.0, time.1, time.2));
        }
        self.into.push('"');
        Ok(())
    }
}

/// A length of up to five bytes, seven bits in each, the lowest first, the highest bit set when another follows.
fn variable_length(bytes: &mut Bytes<'_>) -> Decoded<usize> {
    let mut length = 0usize;
    for shift in [0, 7, 14, 21, 28] {
        let byte = bytes.u8()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(BROKEN)
}
