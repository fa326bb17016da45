//! Addresses and UUIDs of MariaDB, whose values in the log are bytes without their trailing zeros.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use uuid::Uuid;

use super::bytes::{Decoded, Malformed};

/// The value with its zeros again.
fn whole<const N: usize>(bytes: &[u8]) -> Decoded<[u8; N]> {
    let mut all = [0; N];
    all.get_mut(..bytes.len()).ok_or(Malformed("a value is longer than its type"))?.copy_from_slice(bytes);
    Ok(all)
}

/// Appends a UUID. The record has its parts in reverse order, so that UUIDs of version 1 sort by time, except for those
/// of versions that sort by themselves (MariaDB `sql_type_uuid.h`: a byte 6 with its highest bit set before a byte 8
/// that is not zero tells a reversed one).
pub(super) fn uuid_text(bytes: &[u8], into: &mut String) -> Decoded<()> {
    let record = whole::<16>(bytes)?;
    let reversed = record[6] & 0x80 != 0 && record[8].wrapping_neg() & 0x80 != 0;
    let mut memory = record;
    if reversed {
        memory[0..4].copy_from_slice(&record[12..16]);
        memory[4..6].copy_from_slice(&record[10..12]);
        memory[6..8].copy_from_slice(&record[8..10]);
        memory[8..10].copy_from_slice(&record[6..8]);
        memory[10..16].copy_from_slice(&record[0..6]);
    }
    write(into, Uuid::from_bytes(memory))
}

/// Appends an INET4.
pub(super) fn inet4_text(bytes: &[u8], into: &mut String) -> Decoded<()> {
    write(into, Ipv4Addr::from(whole::<4>(bytes)?))
}

/// Appends an INET6 as MariaDB writes it: addresses that embed one of version 4 end in that.
pub(super) fn inet6_text(bytes: &[u8], into: &mut String) -> Decoded<()> {
    let octets = whole::<16>(bytes)?;
    let address = Ipv6Addr::from(octets);
    let compatible = octets[..12].iter().all(|&byte| byte == 0) && (octets[12] != 0 || octets[13] != 0);
    if compatible {
        return write(into, format_args!("::{}", Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15])));
    }
    write(into, address)
}

fn write(into: &mut String, value: impl std::fmt::Display) -> Decoded<()> {
    write!(into, "{value}").map_err(|_| Malformed("a text cannot be written"))
}
