//! How one column of a table becomes one column of its relation.

use std::io::Read;

use flate2::read::DeflateDecoder;

use super::bytes::{Bytes, Decoded, Malformed};
use super::cell::{CellBuilder, OTHER_TYPE, Trouble};
use super::charset::Charset;
use super::inflate::EVENT_BYTES_MAX;
use super::missing::Missing;
use super::table_map::Packing;
use super::temporal::{self, DateForm};
use super::{decimal, jsonb, network};

/// What a value is made into, beyond what its packing says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Conversion {
    /// A number or a time: the packing says all.
    Plain,
    Date(DateForm),
    Text(Charset),
    Bytes,
    /// BINARY(n): the log cuts zeros off its end.
    Padded(usize),
    /// ENUM and SET.
    Labels(Box<[String]>),
    Json,
    Uuid,
    Inet4,
    Inet6,
}

/// One column: how it is packed, and what it becomes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub packing: Packing,
    pub conversion: Conversion,
    pub nullable: bool,
    /// What it holds where an inserted row leaves it out.
    pub missing: Missing,
}

/// Space that is used again for each value.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub text: String,
    bytes: Vec<u8>,
}

const NO_NULLS: Trouble = Trouble::Bad("it is NULL, or a date that does not exist, in a column without NULLs");

impl Column {
    /// Appends the next value. Its bytes are passed even when it is bad.
    #[inline]
    pub fn append(&self, bytes: &mut Bytes<'_>, into: &mut CellBuilder, scratch: &mut Scratch) -> Result<(), Trouble> {
        match self.packing {
            Packing::Int(width) => {
                let raw = bytes.uint_le(usize::from(width))?;
                into.append_int(raw, width)
            }
            Packing::String { .. } | Packing::Blob(_) => {
                let value = value_bytes(self.packing, bytes)?;
                self.append_value(value, into, &mut scratch.text)
            }
            Packing::Float => into.append_float(f32::from_le_bytes(bytes.array()?)),
            Packing::Double => into.append_double(f64::from_le_bytes(bytes.array()?)),
            Packing::Year => match bytes.u8()? {
                0 => into.append_int(0, 2),
                year => into.append_int(1900 + u64::from(year), 2),
            },
            Packing::Bit(width) => {
                let raw = bytes.uint_be(usize::from(width))?;
                into.append_int(raw, 8)
            }
            Packing::Time(digits) => {
                let micros = temporal::time(bytes, digits)?;
                into.append_micros(micros)
            }
            Packing::OldTime => {
                let micros = temporal::old_time(bytes)?;
                into.append_micros(micros)
            }
            Packing::Decimal { precision, scale } => append_decimal(bytes, precision, scale, into),
            _ => self.append_other(bytes, into, scratch),
        }
    }

    /// The less frequent types.
    fn append_other(
        &self,
        bytes: &mut Bytes<'_>,
        into: &mut CellBuilder,
        scratch: &mut Scratch,
    ) -> Result<(), Trouble> {
        if let Conversion::Date(form) = self.conversion {
            let appended = match self.packing {
                Packing::Date => temporal::append_date(bytes, form, into)?,
                Packing::DateTime(digits) => temporal::append_moment(temporal::datetime(bytes, digits)?, form, into)?,
                Packing::OldDateTime => temporal::append_moment(temporal::old_datetime(bytes)?, form, into)?,
                Packing::Timestamp(digits) => {
                    let seconds = u32::from_be_bytes(bytes.array()?);
                    let micro = temporal::fraction(bytes, digits)?;
                    temporal::append_timestamp(seconds, micro, form, into)?
                }
                Packing::OldTimestamp => temporal::append_timestamp(bytes.u32()?, 0, form, into)?,
                _ => return Err(OTHER_TYPE),
            };
            if !appended {
                self.append_null(into)?;
            }
            return Ok(());
        }
        match self.packing {
            Packing::Enum(width) => {
                let number = bytes.uint_le(usize::from(width))?;
                self.append_enum(number, into)
            }
            Packing::Set(width) => {
                let bits = bytes.uint_le(usize::from(width))?;
                self.append_set(bits, into, &mut scratch.text)
            }
            Packing::Json(_) | Packing::Geometry(_) | Packing::Vector(_) => {
                let value = value_bytes(self.packing, bytes)?;
                self.append_value(value, into, &mut scratch.text)
            }
            Packing::CompressedString { .. } | Packing::CompressedBlob(_) => {
                let value = value_bytes(self.packing, bytes)?;
                scratch.bytes.clear();
                decompress_column(value, &mut scratch.bytes)?;
                self.append_value(&scratch.bytes, into, &mut scratch.text)
            }
            _ => Err(OTHER_TYPE),
        }
    }

    /// Appends a value that is bytes behind a length.
    #[inline]
    fn append_value(&self, value: &[u8], into: &mut CellBuilder, text: &mut String) -> Result<(), Trouble> {
        let converted = match &self.conversion {
            Conversion::Text(Charset::Utf8) => {
                let value = std::str::from_utf8(value)
                    .map_err(|_| Trouble::Bad("its text is not valid in its column's character set"))?;
                return into.append_text(value);
            }
            Conversion::Bytes => return into.append_bytes(value),
            Conversion::Padded(length) if value.len() >= *length => return into.append_bytes(value),
            Conversion::Padded(length) => return append_padded(value, *length, into),
            Conversion::Text(charset) => {
                text.clear();
                charset.decode(value, text)
            }
            Conversion::Json => {
                text.clear();
                jsonb::print(value, text)
            }
            Conversion::Uuid => {
                text.clear();
                network::uuid_text(value, text)
            }
            Conversion::Inet4 => {
                text.clear();
                network::inet4_text(value, text)
            }
            Conversion::Inet6 => {
                text.clear();
                network::inet6_text(value, text)
            }
            Conversion::Plain | Conversion::Date(_) | Conversion::Labels(_) => return Err(OTHER_TYPE),
        };
        // The value's bytes are passed: what is wrong inside them is this row's affair alone.
        converted.map_err(|Malformed(reason)| Trouble::Bad(reason))?;
        into.append_text(text)
    }

    /// True for a JSON document of MySQL.
    pub fn is_json(&self) -> bool {
        matches!(self.packing, Packing::Json(_))
    }

    /// Appends a NULL that the log has, or that a date became.
    pub fn append_null(&self, into: &mut CellBuilder) -> Result<(), Trouble> {
        if !self.nullable {
            return Err(NO_NULLS);
        }
        into.append_nothing(true);
        Ok(())
    }

    /// Number 0 is the empty text that a value without a label became.
    fn append_enum(&self, number: u64, into: &mut CellBuilder) -> Result<(), Trouble> {
        let Conversion::Labels(labels) = &self.conversion else { return Err(OTHER_TYPE) };
        if number == 0 {
            return into.append_text("");
        }
        let label = usize::try_from(number - 1).ok().and_then(|i| labels.get(i));
        into.append_text(label.ok_or(Trouble::Bad("its ENUM has a label that the table's definition has not"))?)
    }

    fn append_set(&self, bits: u64, into: &mut CellBuilder, text: &mut String) -> Result<(), Trouble> {
        let Conversion::Labels(labels) = &self.conversion else { return Err(OTHER_TYPE) };
        text.clear();
        for i in (0..64).filter(|i| bits & (1 << i) != 0) {
            let label = labels.get(i).ok_or(Trouble::Bad("its SET has a label that the table's definition has not"))?;
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(label);
        }
        into.append_text(text)
    }
}

fn append_decimal(bytes: &mut Bytes<'_>, precision: u8, scale: u8, into: &mut CellBuilder) -> Result<(), Trouble> {
    let packed = bytes.take(decimal::packed_bytes(precision, scale))?;
    match into {
        CellBuilder::Decimal128(_) => into.append_decimal128(decimal::decimal128(packed, precision, scale)?),
        _ => into.append_decimal256(decimal::decimal256(packed, precision, scale)?),
    }
}

fn append_padded(value: &[u8], length: usize, into: &mut CellBuilder) -> Result<(), Trouble> {
    // BINARY has at most 255 bytes.
    let mut padded = [0; 256];
    let padded = padded.get_mut(..length).ok_or(OTHER_TYPE)?;
    padded[..value.len()].copy_from_slice(value);
    into.append_bytes(padded)
}

/// A value behind its length.
fn value_bytes<'a>(packing: Packing, bytes: &mut Bytes<'a>) -> Decoded<&'a [u8]> {
    let length_bytes = match packing {
        Packing::String { length_bytes, .. } | Packing::CompressedString { length_bytes } => length_bytes,
        Packing::Blob(length_bytes)
        | Packing::CompressedBlob(length_bytes)
        | Packing::Json(length_bytes)
        | Packing::Geometry(length_bytes)
        | Packing::Vector(length_bytes) => length_bytes,
        _ => return Err(Malformed("a value has no length")),
    };
    let length = match length_bytes {
        1 => usize::from(bytes.u8()?),
        2 => usize::from(bytes.u16()?),
        _ => bytes.uint_le(usize::from(length_bytes))? as usize,
    };
    bytes.take(length)
}

/// Passes the next value.
pub(super) fn skip(packing: Packing, bytes: &mut Bytes<'_>) -> Decoded<()> {
    let length = match packing {
        Packing::Int(width) | Packing::Bit(width) | Packing::Enum(width) | Packing::Set(width) => usize::from(width),
        Packing::Year => 1,
        Packing::Date | Packing::OldTime => 3,
        Packing::Float | Packing::OldTimestamp => 4,
        Packing::Double | Packing::OldDateTime => 8,
        Packing::Time(digits) => 3 + usize::from(digits.div_ceil(2)),
        Packing::Timestamp(digits) => 4 + usize::from(digits.div_ceil(2)),
        Packing::DateTime(digits) => 5 + usize::from(digits.div_ceil(2)),
        Packing::Decimal { precision, scale } => decimal::packed_bytes(precision, scale),
        _ => return value_bytes(packing, bytes).map(drop),
    };
    bytes.take(length).map(drop)
}

/// Decompresses a value of a column with `COMPRESSED` (MariaDB `Field_longstr::uncompress`): one byte, 0 before plain
/// bytes; else the method in its four highest bits, bit 3 for a stream without zlib's head, and the number of bytes of the
/// length that follows, most significant first.
fn decompress_column(value: &[u8], into: &mut Vec<u8>) -> Result<(), Trouble> {
    const BROKEN: Trouble = Trouble::Bad("its compressed value does not decompress");
    const METHOD_ZLIB: u8 = 8;
    let mut bytes = Bytes(value);
    let Ok(head) = bytes.u8() else { return Ok(()) };
    if head == 0 {
        into.extend_from_slice(bytes.0);
        return Ok(());
    }
    if head >> 4 != METHOD_ZLIB {
        return Err(BROKEN);
    }
    let length = bytes.uint_be(usize::from(head & 0x07)).map_err(|_| BROKEN)? as usize;
    if length > EVENT_BYTES_MAX {
        return Err(BROKEN);
    }
    let limit = length as u64 + 1;
    let read = if head & 0x08 != 0 {
        DeflateDecoder::new(bytes.0).take(limit).read_to_end(into)
    } else {
        flate2::read::ZlibDecoder::new(bytes.0).take(limit).read_to_end(into)
    };
    if read.is_ok_and(|read| read == length) { Ok(()) } else { Err(BROKEN) }
}
