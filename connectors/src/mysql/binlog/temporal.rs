//! Dates and times as the log packs them.

use chrono::{DateTime, Datelike, Timelike};

use super::bytes::{Bytes, Decoded, Malformed};
use super::cell::{CellBuilder, Trouble};
use crate::mysql::rows::{Civil, TextForm, Unfit, ZeroDates};

const SECOND_US: i64 = 1_000_000;

/// What becomes of a date: the policy, and the form where the column is text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DateForm {
    pub zero_dates: ZeroDates,
    pub text: Option<TextForm>,
}

/// A date and time, valid or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub date: Civil,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micro: u32,
}

/// True when a value was appended; false when it is to be NULL.
type Appended = Result<bool, Trouble>;

const NO_SUCH_DATE: Trouble = Trouble::Bad("its date does not exist (zero_dates decides what becomes of such dates)");

fn settle(unfit: Unfit) -> Appended {
    match unfit {
        Unfit::Null => Ok(false),
        Unfit::NoSuchDate => Err(NO_SUCH_DATE),
    }
}

/// Three bytes: five bits of a day, four of a month, the rest is the year.
pub(super) fn append_date(bytes: &mut Bytes<'_>, form: DateForm, into: &mut CellBuilder) -> Appended {
    let packed = bytes.u24()?;
    let date = Civil { year: (packed >> 9) as u16, month: ((packed >> 5) & 15) as u8, day: (packed & 31) as u8 };
    if let Some(text) = form.text {
        into.append_text(&text.write(date, 0, 0, 0, 0))?;
        return Ok(true);
    }
    match form.zero_dates.days(date) {
        Ok(days) => into.append_days(days).map(|()| true),
        Err(unfit) => settle(unfit),
    }
}

/// Appends a date and time.
pub(super) fn append_moment(moment: Moment, form: DateForm, into: &mut CellBuilder) -> Appended {
    let Moment { date, hour, minute, second, micro } = moment;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Trouble::Bad("its time of day does not exist"));
    }
    if let Some(text) = form.text {
        into.append_text(&text.write(date, hour, minute, second, micro))?;
        return Ok(true);
    }
    let time = ((i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second)) * SECOND_US + i64::from(micro);
    match form.zero_dates.micros(date, time) {
        Ok(micros) => into.append_micros(micros).map(|()| true),
        Err(unfit) => settle(unfit),
    }
}

/// Eight bytes, decimal: YYYYMMDDhhmmss.
pub(super) fn old_datetime(bytes: &mut Bytes<'_>) -> Decoded<Moment> {
    let packed = bytes.u64()?;
    let (date, time) = (packed / 1_000_000, packed % 1_000_000);
    Ok(Moment {
        date: Civil {
            year: u16::try_from(date / 10_000).map_err(|_| Malformed("a DATETIME is out of range"))?,
            month: (date / 100 % 100) as u8,
            day: (date % 100) as u8,
        },
        hour: (time / 10_000) as u8,
        minute: (time / 100 % 100) as u8,
        second: (time % 100) as u8,
        micro: 0,
    })
}

/// Five bytes, most significant first: sign, 17 bits of year and month, 5 of day, 5 of hour, 6 and 6; then a fraction.
pub(super) fn datetime(bytes: &mut Bytes<'_>, digits: u8) -> Decoded<Moment> {
    let packed = bytes.uint_be(5)?;
    let micro = fraction(bytes, digits)?;
    Ok(unpack(packed & 0x7f_ffff_ffff, micro))
}

/// Takes a packed date and time apart, without its sign.
pub(super) fn unpack(packed: u64, micro: u32) -> Moment {
    let (date, time) = (packed >> 17, packed & 0x1_ffff);
    let months = date >> 5;
    Moment {
        date: Civil { year: (months / 13) as u16, month: (months % 13) as u8, day: (date & 31) as u8 },
        hour: (time >> 12) as u8,
        minute: ((time >> 6) & 63) as u8,
        second: (time & 63) as u8,
        micro,
    }
}

/// Appends a TIMESTAMP, seconds since 1970; 0 stands for `0000-00-00 00:00:00`.
pub(super) fn append_timestamp(seconds: u32, micro: u32, form: DateForm, into: &mut CellBuilder) -> Appended {
    if seconds == 0 && micro == 0 {
        let zero = Civil { year: 0, month: 0, day: 0 };
        return append_moment(Moment { date: zero, hour: 0, minute: 0, second: 0, micro: 0 }, form, into);
    }
    if let Some(text) = form.text {
        let at = DateTime::from_timestamp(i64::from(seconds), 0).ok_or(NO_SUCH_DATE)?;
        let date = Civil { year: at.year() as u16, month: at.month() as u8, day: at.day() as u8 };
        into.append_text(&text.write(date, at.hour() as u8, at.minute() as u8, at.second() as u8, micro))?;
        return Ok(true);
    }
    into.append_micros(i64::from(seconds) * SECOND_US + i64::from(micro)).map(|()| true)
}

/// Microseconds of a time in three bytes, decimal: hhmmss, signed.
pub(super) fn old_time(bytes: &mut Bytes<'_>) -> Decoded<i64> {
    let packed = i64::from(((bytes.u24()? << 8) as i32) >> 8);
    let magnitude = packed.abs();
    let seconds = magnitude / 10_000 * 3_600 + magnitude / 100 % 100 * 60 + magnitude % 100;
    Ok(seconds * packed.signum() * SECOND_US)
}

/// Microseconds of a time in three bytes, most significant first, and a fraction.
///
/// Both together are one number, 0x800000 (and zeros for the fraction) more than the value: hours in 10 bits above 6
/// and 6, so that a negative time with a fraction borrows from its seconds.
pub(super) fn time(bytes: &mut Bytes<'_>, digits: u8) -> Decoded<i64> {
    let fraction_bytes = usize::from(digits.div_ceil(2));
    let bits = 8 * fraction_bytes;
    let packed = bytes.uint_be(3 + fraction_bytes)? as i64 - (0x80_0000i64 << bits);
    let magnitude = packed.unsigned_abs();
    let (clock, fraction) = (magnitude >> bits, magnitude & ((1 << bits) - 1));
    let micro = fraction * FRACTION_US[fraction_bytes];
    if micro >= SECOND_US as u64 {
        return Err(Malformed("a TIME has an impossible fraction"));
    }
    let seconds = ((clock >> 12) & 0x3ff) * 3_600 + ((clock >> 6) & 63) * 60 + (clock & 63);
    let micros = (seconds * SECOND_US as u64 + micro) as i64;
    Ok(if packed < 0 { -micros } else { micros })
}

/// Microseconds of one, by the number of bytes of a fraction.
const FRACTION_US: [u64; 4] = [0, 10_000, 100, 1];

/// Microseconds of a fraction of a second, packed in as few bytes as hold its digits.
pub(super) fn fraction(bytes: &mut Bytes<'_>, digits: u8) -> Decoded<u32> {
    let length = usize::from(digits.div_ceil(2));
    let micro = bytes.uint_be(length)? * FRACTION_US.get(length).copied().unwrap_or(0);
    if micro >= SECOND_US as u64 {
        return Err(Malformed("a time has an impossible fraction"));
    }
    Ok(micro as u32)
}
