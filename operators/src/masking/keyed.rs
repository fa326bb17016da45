//! Keyed hashes of values: HMAC-SHA-256 (RFC 2104, FIPS 180-4).

use aqueduct_model::{Error, Result, Secret};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A keyed hash that is ready to take values.
#[derive(Clone)]
pub(super) struct Keyed(Hmac<Sha256>);

impl Keyed {
    pub(super) fn new(key: &Secret) -> Result<Self> {
        let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
        mac.map(Self).map_err(|_| Error::bug("hmac takes keys of any length"))
    }

    pub(super) fn digest(&self, value: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(value);
        mac.finalize().into_bytes().into()
    }

    /// A number from 0 to 2^64 - 1 that follows from the value.
    pub(super) fn number(&self, value: &[u8]) -> u64 {
        let digest = self.digest(value);
        u64::from_be_bytes(std::array::from_fn(|i| digest[i]))
    }
}

/// Bytes in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
