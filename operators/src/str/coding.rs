//! Bytes as text: base 64 and hex (RFC 4648), percent-encoding (RFC 3986).

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::config::Coding;

/// Base 64 for addresses: written without padding, read with or without.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const LOWER_HEX: &[u8; 16] = b"0123456789abcdef";
const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    bytes.iter().for_each(|byte| push_hex(&mut text, *byte, LOWER_HEX));
    text
}

fn push_hex(text: &mut String, byte: u8, digits: &[u8; 16]) {
    text.push(char::from(digits[usize::from(byte >> 4)]));
    text.push(char::from(digits[usize::from(byte & 15)]));
}

pub(super) fn encode(coding: Coding, text: &str) -> String {
    match coding {
        Coding::Base64 => STANDARD.encode(text),
        Coding::Base64url => BASE64_URL.encode(text),
        Coding::Hex => hex(text.as_bytes()),
        Coding::Url => {
            let mut encoded = String::with_capacity(text.len());
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    encoded.push(char::from(byte));
                } else {
                    encoded.push('%');
                    push_hex(&mut encoded, byte, UPPER_HEX);
                }
            }
            encoded
        }
    }
}

/// The text that was encoded; `None` when it was not, or what was is not UTF-8.
pub(super) fn decode(coding: Coding, text: &str) -> Option<String> {
    let bytes = match coding {
        Coding::Base64 => STANDARD.decode(text).ok()?,
        Coding::Base64url => BASE64_URL.decode(text).ok()?,
        Coding::Hex => text.as_bytes().chunks(2).map(hex_byte).collect::<Option<Vec<u8>>>()?,
        Coding::Url => percent_decoded(text.as_bytes())?,
    };
    String::from_utf8(bytes).ok()
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let value = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(value(*high)? * 16 + value(*low)?).ok()
}

fn percent_decoded(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((first, rest)) = text.split_first() {
        if *first == b'%' {
            bytes.push(hex_byte(rest.get(..2)?)?);
            text = &rest[2..];
        } else {
            bytes.push(*first);
            text = rest;
        }
    }
    Some(bytes)
}
