//! A cursor over bytes that checks every length before it reads.

use aqueduct_model::{Error, ErrorKind};

/// Bytes that are not what the log's format says; names the part that is wrong, never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(pub &'static str);

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::new(ErrorKind::Data, format!("the binary log holds bytes that cannot be decoded: {}", malformed.0))
            .with_hint(
                "compare with `mysqlbinlog --verify-binlog-checksum`; when the server reads the event without complaint, \
                 report it with the server's version",
            )
    }
}

/// What a decoder of log bytes returns.
pub(crate) type Decoded<T> = std::result::Result<T, Malformed>;

const SHORT: Malformed = Malformed("an event ends before its last field");

/// The bytes that are still to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when everything was read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Decoded<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(SHORT)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*head)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    #[inline]
    pub fn u8(&mut self) -> Decoded<u8> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub fn u16(&mut self) -> Decoded<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline]
    pub fn u24(&mut self) -> Decoded<u32> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    #[inline]
    pub fn u32(&mut self) -> Decoded<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub fn u48(&mut self) -> Decoded<u64> {
        self.uint_le(6)
    }

    #[inline]
    pub fn u64(&mut self) -> Decoded<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// An unsigned number of `n` bytes (at most 8), least significant first.
    #[inline]
    pub fn uint_le(&mut self, n: usize) -> Decoded<u64> {
        let bytes = self.take(n)?;
        let mut all = [0; 8];
        all.get_mut(..n).ok_or(Malformed("a number of more than eight bytes"))?.copy_from_slice(bytes);
        Ok(u64::from_le_bytes(all))
    }

    /// An unsigned number of `n` bytes (at most 8), most significant first.
    #[inline]
    pub fn uint_be(&mut self, n: usize) -> Decoded<u64> {
        if n > 8 {
            return Err(Malformed("a number of more than eight bytes"));
        }
        Ok(self.take(n)?.iter().fold(0, |value, &byte| (value << 8) | u64::from(byte)))
    }

    /// A number as the protocol packs it: one byte below 251, else 252, 253 or 254 and two, three or eight bytes.
    pub fn packed(&mut self) -> Decoded<u64> {
        match self.u8()? {
            small @ 0..=250 => Ok(u64::from(small)),
            252 => self.uint_le(2),
            253 => self.uint_le(3),
            254 => self.uint_le(8),
            _ => Err(Malformed("a packed number starts with 251 or 255")),
        }
    }

    /// A packed number that counts something that is still in these bytes, each at least one byte (or bit) long.
    pub fn packed_len(&mut self) -> Decoded<usize> {
        usize::try_from(self.packed()?).map_err(|_| SHORT)
    }

    /// Bytes behind their packed length.
    pub fn packed_bytes(&mut self) -> Decoded<&'a [u8]> {
        let length = self.packed_len()?;
        self.take(length)
    }
}

/// The bit of a bitmap that is stored least significant bit first; bits behind its end are 0.
#[inline]
pub(crate) fn bit(bitmap: &[u8], i: usize) -> bool {
    bitmap.get(i / 8).is_some_and(|byte| byte & (1 << (i % 8)) != 0)
}
