//! Texts in the character sets of MySQL and MariaDB, as UTF-8.
//!
//! What a byte means is taken from the servers themselves: `CONVERT(… USING utf8mb4)` gives the same text, so that a
//! snapshot, whose texts the server converts, and the log, whose texts are converted here, agree.

use encoding_rs::{BIG5, DecoderResult, EUC_JP, EUC_KR, Encoding, GB18030, GBK, SHIFT_JIS};

use super::bytes::{Decoded, Malformed};
use super::charset_exceptions::{self as exceptions, Exceptions};
use super::charset_tables as tables;

const NOT_TEXT: Malformed = Malformed("its text has bytes that its character set does not have");

/// How the bytes of a text become characters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Charset {
    /// utf8mb3 and utf8mb4.
    Utf8,
    Ascii,
    /// Bytes, not text.
    Binary,
    /// cp1252, with control characters where that has none.
    Latin1,
    /// Seven bits, eleven of them Swedish.
    Swe7,
    /// ASCII and another 128 characters, 0 for none.
    Single(&'static [u16; 128]),
    /// ASCII and characters of several bytes; those that MySQL reads otherwise than the web does.
    Multi(&'static Encoding, Exceptions),
    /// Big endian, with surrogates.
    Utf16,
    Utf16Le,
    /// Big endian, without surrogates.
    Ucs2,
    /// Big endian.
    Utf32,
}

/// First and last id of collations that belong to one set.
type Collations = (u16, u16, &'static str);

/// The character sets of collation ids, from MySQL 9.1 and MariaDB 11.8; one server has no id of the other's that
/// means something else.
const COLLATIONS: &[Collations] = &[
    (1, 1, "big5"),
    (2, 2, "latin2"),
    (3, 3, "dec8"),
    (4, 4, "cp850"),
    (5, 5, "latin1"),
    (6, 6, "hp8"),
    (7, 7, "koi8r"),
    (8, 8, "latin1"),
    (9, 9, "latin2"),
    (10, 10, "swe7"),
    (11, 11, "ascii"),
    (12, 12, "ujis"),
    (13, 13, "sjis"),
    (14, 14, "cp1251"),
    (15, 15, "latin1"),
    (16, 16, "hebrew"),
    (18, 18, "tis620"),
    (19, 19, "euckr"),
    (20, 20, "latin7"),
    (21, 21, "latin2"),
    (22, 22, "koi8u"),
    (23, 23, "cp1251"),
    (24, 24, "gb2312"),
    (25, 25, "greek"),
    (26, 26, "cp1250"),
    (27, 27, "latin2"),
    (28, 28, "gbk"),
    (29, 29, "cp1257"),
    (30, 30, "latin5"),
    (31, 31, "latin1"),
    (32, 32, "armscii8"),
    (33, 33, "utf8mb3"),
    (34, 34, "cp1250"),
    (35, 35, "ucs2"),
    (36, 36, "cp866"),
    (37, 37, "keybcs2"),
    (38, 38, "macce"),
    (39, 39, "macroman"),
    (40, 40, "cp852"),
    (41, 42, "latin7"),
    (43, 43, "macce"),
    (44, 44, "cp1250"),
    (45, 46, "utf8mb4"),
    (47, 49, "latin1"),
    (50, 52, "cp1251"),
    (53, 53, "macroman"),
    (54, 55, "utf16"),
    (56, 56, "utf16le"),
    (57, 57, "cp1256"),
    (58, 59, "cp1257"),
    (60, 61, "utf32"),
    (62, 62, "utf16le"),
    (63, 63, "binary"),
    (64, 64, "armscii8"),
    (65, 65, "ascii"),
    (66, 66, "cp1250"),
    (67, 67, "cp1256"),
    (68, 68, "cp866"),
    (69, 69, "dec8"),
    (70, 70, "greek"),
    (71, 71, "hebrew"),
    (72, 72, "hp8"),
    (73, 73, "keybcs2"),
    (74, 74, "koi8r"),
    (75, 75, "koi8u"),
    (76, 76, "utf8mb3"),
    (77, 77, "latin2"),
    (78, 78, "latin5"),
    (79, 79, "latin7"),
    (80, 80, "cp850"),
    (81, 81, "cp852"),
    (82, 82, "swe7"),
    (83, 83, "utf8mb3"),
    (84, 84, "big5"),
    (85, 85, "euckr"),
    (86, 86, "gb2312"),
    (87, 87, "gbk"),
    (88, 88, "sjis"),
    (89, 89, "tis620"),
    (90, 90, "ucs2"),
    (91, 91, "ujis"),
    (92, 93, "geostd8"),
    (94, 94, "latin1"),
    (95, 96, "cp932"),
    (97, 98, "eucjpms"),
    (99, 99, "cp1250"),
    (101, 124, "utf16"),
    (128, 151, "ucs2"),
    (159, 159, "ucs2"),
    (160, 183, "utf32"),
    (192, 215, "utf8mb3"),
    (223, 223, "utf8mb3"),
    (224, 247, "utf8mb4"),
    (248, 250, "gb18030"),
    (255, 323, "utf8mb4"),
];

/// Collations that MariaDB adds: ids of its own, and the ones above without padding, 1024 higher.
const NOPAD_OFFSET: u16 = 1024;
const MARIADB_COLLATIONS: &[Collations] = &[
    (576, 578, "utf8mb3"),
    (608, 610, "utf8mb4"),
    (640, 642, "ucs2"),
    (672, 674, "utf16"),
    (736, 738, "utf32"),
    (2048, 2303, "utf8mb3"),
    (2304, 2559, "utf8mb4"),
    (2560, 2815, "ucs2"),
    (2816, 3071, "utf16"),
    (3072, 3327, "utf32"),
];

impl Charset {
    /// The character set of that name, as `information_schema` gives it.
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        Some(match lower.as_str() {
            "utf8" | "utf8mb3" | "utf8mb4" => Self::Utf8,
            "ascii" => Self::Ascii,
            "binary" => Self::Binary,
            "latin1" => Self::Latin1,
            "swe7" => Self::Swe7,
            "armscii8" => Self::Single(&tables::ARMSCII8),
            "cp1250" => Self::Single(&tables::CP1250),
            "cp1251" => Self::Single(&tables::CP1251),
            "cp1256" => Self::Single(&tables::CP1256),
            "cp1257" => Self::Single(&tables::CP1257),
            "cp850" => Self::Single(&tables::CP850),
            "cp852" => Self::Single(&tables::CP852),
            "cp866" => Self::Single(&tables::CP866),
            "dec8" => Self::Single(&tables::DEC8),
            "geostd8" => Self::Single(&tables::GEOSTD8),
            "greek" => Self::Single(&tables::GREEK),
            "hebrew" => Self::Single(&tables::HEBREW),
            "hp8" => Self::Single(&tables::HP8),
            "keybcs2" => Self::Single(&tables::KEYBCS2),
            "koi8r" => Self::Single(&tables::KOI8R),
            "koi8u" => Self::Single(&tables::KOI8U),
            "latin2" => Self::Single(&tables::LATIN2),
            "latin5" => Self::Single(&tables::LATIN5),
            "latin7" => Self::Single(&tables::LATIN7),
            "macce" => Self::Single(&tables::MACCE),
            "macroman" => Self::Single(&tables::MACROMAN),
            "tis620" => Self::Single(&tables::TIS620),
            "big5" => Self::Multi(BIG5, exceptions::BIG5),
            "gbk" => Self::Multi(GBK, exceptions::GBK),
            "gb2312" => Self::Multi(GBK, exceptions::GB2312),
            "gb18030" => Self::Multi(GB18030, exceptions::GB18030),
            "sjis" => Self::Multi(SHIFT_JIS, exceptions::SJIS),
            "cp932" => Self::Multi(SHIFT_JIS, exceptions::CP932),
            "ujis" => Self::Multi(EUC_JP, exceptions::UJIS),
            "eucjpms" => Self::Multi(EUC_JP, exceptions::EUCJPMS),
            "euckr" => Self::Multi(EUC_KR, exceptions::EUCKR),
            "utf16" => Self::Utf16,
            "utf16le" => Self::Utf16Le,
            "ucs2" => Self::Ucs2,
            "utf32" => Self::Utf32,
            _ => return None,
        })
    }

    /// The character set of a collation.
    pub fn of_collation(id: u16) -> Option<Self> {
        let within = |table: &[Collations], id: u16| {
            table.iter().find(|(first, last, _)| (*first..=*last).contains(&id)).map(|(_, _, name)| *name)
        };
        let name = within(COLLATIONS, id).or_else(|| within(MARIADB_COLLATIONS, id)).or_else(|| {
            let padded = id.checked_sub(NOPAD_OFFSET)?;
            within(COLLATIONS, padded).or_else(|| within(MARIADB_COLLATIONS, padded))
        });
        name.and_then(Self::named)
    }

    /// Appends the characters of `bytes`. What was appended before an error stays.
    ///
    /// # Errors
    /// When the bytes are not text in this character set.
    pub fn decode(self, bytes: &[u8], into: &mut String) -> Decoded<()> {
        match self {
            Self::Utf8 | Self::Binary => into.push_str(std::str::from_utf8(bytes).map_err(|_| NOT_TEXT)?),
            Self::Ascii if bytes.is_ascii() => into.push_str(std::str::from_utf8(bytes).map_err(|_| NOT_TEXT)?),
            Self::Ascii => return Err(NOT_TEXT),
            Self::Latin1 => into.extend(bytes.iter().map(|&byte| latin1(byte))),
            Self::Swe7 => decode_each(bytes, into, swe7)?,
            Self::Single(table) => decode_each(bytes, into, |byte| single(table, byte))?,
            Self::Multi(encoding, exceptions) => decode_multi(encoding, exceptions, bytes, into)?,
            Self::Utf16 => decode_utf16(bytes, u16::from_be_bytes, into)?,
            Self::Utf16Le => decode_utf16(bytes, u16::from_le_bytes, into)?,
            Self::Ucs2 => decode_wide(bytes, |unit: [u8; 2]| u32::from(u16::from_be_bytes(unit)), into)?,
            Self::Utf32 => decode_wide(bytes, u32::from_be_bytes, into)?,
        }
        Ok(())
    }
}

/// The first half of the upper half of cp1252; the control characters of its gaps are MySQL's rule.
const LATIN1_80: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn latin1(byte: u8) -> char {
    match byte {
        0x80..=0x9f => LATIN1_80[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

fn swe7(byte: u8) -> Option<char> {
    Some(match byte {
        b'@' => 'É',
        b'[' => 'Ä',
        b'\\' => 'Ö',
        b']' => 'Å',
        b'^' => 'Ü',
        b'`' => 'é',
        b'{' => 'ä',
        b'|' => 'ö',
        b'}' => 'å',
        b'~' => 'ü',
        0..0x7f => char::from(byte),
        _ => return None,
    })
}

fn single(table: &[u16; 128], byte: u8) -> Option<char> {
    match byte.checked_sub(0x80) {
        None => Some(char::from(byte)),
        Some(upper) => match table[usize::from(upper)] {
            0 => None,
            code => char::from_u32(u32::from(code)),
        },
    }
}

fn decode_each(bytes: &[u8], into: &mut String, of: impl Fn(u8) -> Option<char>) -> Decoded<()> {
    for &byte in bytes {
        into.push(of(byte).ok_or(NOT_TEXT)?);
    }
    Ok(())
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, into: &mut String) -> Decoded<()> {
    let (units, []) = bytes.as_chunks::<2>() else { return Err(NOT_TEXT) };
    for character in char::decode_utf16(units.iter().copied().map(unit)) {
        into.push(character.map_err(|_| NOT_TEXT)?);
    }
    Ok(())
}

fn decode_wide<const N: usize>(bytes: &[u8], code: fn([u8; N]) -> u32, into: &mut String) -> Decoded<()> {
    let (units, []) = bytes.as_chunks::<N>() else { return Err(NOT_TEXT) };
    for &unit in units {
        into.push(char::from_u32(code(unit)).ok_or(NOT_TEXT)?);
    }
    Ok(())
}

/// Decodes runs of characters that MySQL and the web read alike, and each exception by itself.
fn decode_multi(encoding: &'static Encoding, exceptions: Exceptions, bytes: &[u8], into: &mut String) -> Decoded<()> {
    let mut run = 0;
    let mut at = 0;
    while at < bytes.len() {
        let length = character_bytes(encoding, &bytes[at..]);
        if length > 1 {
            let code = bytes[at..at + length].iter().fold(0, |code, &byte| (code << 8) | u32::from(byte));
            if let Some(character) = exception(encoding, exceptions, code) {
                decode_run(encoding, &bytes[run..at], into)?;
                into.push(character);
                run = at + length;
            }
        }
        at += length;
    }
    decode_run(encoding, &bytes[run..], into)
}

/// Rows of EUC that are for private use.
const EUC_PRIVATE: std::ops::RangeInclusive<u32> = 0xf5..=0xfe;
const EUC_CELLS: std::ops::RangeInclusive<u32> = 0xa1..=0xfe;

fn exception(encoding: &'static Encoding, exceptions: Exceptions, code: u32) -> Option<char> {
    let (row, cell) = ((code >> 8) & 0xff, code & 0xff);
    if encoding == EUC_JP && EUC_PRIVATE.contains(&row) && EUC_CELLS.contains(&cell) {
        let plane = if code > 0xffff { 0xe3ac } else { 0xe000 };
        return char::from_u32(plane + (row - EUC_PRIVATE.start()) * 94 + (cell - EUC_CELLS.start()));
    }
    let behind = exceptions.partition_point(|(first, _)| *first <= code);
    let (first, characters) = exceptions.get(behind.checked_sub(1)?)?;
    characters.chars().nth((code - first) as usize)
}

/// Length of the character that `bytes` begins with, by its first bytes alone; at least 1, at most what is there.
fn character_bytes(encoding: &'static Encoding, bytes: &[u8]) -> usize {
    let length = match (bytes[0], bytes.get(1)) {
        (0..0x80, _) => 1,
        (0xa1..=0xdf, _) if encoding == SHIFT_JIS => 1,
        (0x8f, _) if encoding == EUC_JP => 3,
        (_, Some(0x30..=0x39)) if encoding == GB18030 => 4,
        _ => 2,
    };
    length.min(bytes.len())
}

fn decode_run(encoding: &'static Encoding, bytes: &[u8], into: &mut String) -> Decoded<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len()).ok_or(NOT_TEXT)?;
    into.reserve(room);
    match decoder.decode_to_string_without_replacement(bytes, into, true) {
        (DecoderResult::InputEmpty, _) => Ok(()),
        _ => Err(NOT_TEXT),
    }
}
