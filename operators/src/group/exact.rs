//! Sums of floating point numbers without rounding on the way: every one is a whole number of 2⁻¹⁰⁷⁴.

use num_bigint::{BigInt, BigUint, Sign};

/// The exponent of the smallest number.
const LEAST_EXPONENT: i64 = -1_074;
/// The bits that a number keeps.
const MANTISSA_BITS: u64 = 53;

/// A sum from which numbers can be taken away again.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ExactSum {
    /// In units of 2⁻¹⁰⁷⁴.
    units: BigInt,
    nans: i64,
    infinities: i64,
    negative_infinities: i64,
}

impl ExactSum {
    /// Adds a number (`sign` 1) or takes it away (-1).
    pub(super) fn add(&mut self, number: f64, sign: i64) {
        if number.is_nan() {
            self.nans += sign;
        } else if number.is_infinite() {
            let count = if number > 0.0 { &mut self.infinities } else { &mut self.negative_infinities };
            *count += sign;
        } else {
            let bits = number.to_bits();
            let exponent = ((bits >> 52) & 0x7ff) as u32;
            let fraction = bits & ((1 << 52) - 1);
            let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
            let units = BigInt::from(mantissa) << shift;
            if (number < 0.0) != (sign < 0) { self.units -= units } else { self.units += units }
        }
    }

    /// Adds another sum (`sign` 1) or takes it away (-1).
    pub(super) fn merge(&mut self, other: &Self, sign: i64) {
        self.units += BigInt::from(sign) * &other.units;
        self.nans += sign * other.nans;
        self.infinities += sign * other.infinities;
        self.negative_infinities += sign * other.negative_infinities;
    }

    /// The sum, rounded once.
    pub(super) fn value(&self) -> f64 {
        match (self.nans, self.infinities, self.negative_infinities) {
            (0, 0, 0) => rounded(&self.units, 1),
            (0, _, 0) => f64::INFINITY,
            (0, 0, _) => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    /// The mean of so many numbers, rounded once.
    pub(super) fn mean(&self, count: i64) -> f64 {
        if (self.nans, self.infinities, self.negative_infinities) == (0, 0, 0) {
            rounded(&self.units, count)
        } else {
            self.value()
        }
    }

    /// As bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for count in [self.nans, self.infinities, self.negative_infinities] {
            out.extend(count.to_le_bytes());
        }
        let units = self.units.to_signed_bytes_le();
        out.extend((units.len() as u32).to_le_bytes());
        out.extend(units);
    }

    /// Out of bytes, which are taken from the front.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut count = || super::total::take_i64(bytes);
        let (nans, infinities, negative_infinities) = (count()?, count()?, count()?);
        let (length, rest) = bytes.split_at_checked(4)?;
        let (units, rest) = rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)?;
        *bytes = rest;
        Some(Self { units: BigInt::from_signed_bytes_le(units), nans, infinities, negative_infinities })
    }
}

/// `units / count · 2⁻¹⁰⁷⁴`, to the nearest number, ties to even.
fn rounded(units: &BigInt, count: i64) -> f64 {
    let count = BigUint::from(count.unsigned_abs().max(1));
    // So many bits more that the quotient has all that a number keeps; what is left over only breaks ties.
    let more = MANTISSA_BITS + 2 + count.bits();
    let wide = units.magnitude() << more;
    let (quotient, rest) = (&wide / &count, &wide % &count);
    let lowest = LEAST_EXPONENT - more as i64;
    // The exponent of the last bit that is kept: no smaller than that of the smallest number.
    let last = (quotient.bits() as i64 + lowest - MANTISSA_BITS as i64).max(LEAST_EXPONENT);
    let dropped = (last - lowest) as u64;
    let mut kept = &quotient >> dropped;
    let tail: BigUint = &quotient - (&kept << dropped);
    let half = BigUint::from(1_u32) << (dropped - 1);
    let is_tie = tail == half && rest == BigUint::ZERO;
    if (tail >= half && !is_tie) || (is_tie && kept.bit(0)) {
        kept += 1_u32;
    }
    let value = kept.iter_u64_digits().next().unwrap_or_default() as f64;
    let (one, other) = (last / 2, last - last / 2);
    let value = value * 2_f64.powi(one as i32) * 2_f64.powi(other as i32);
    if units.sign() == Sign::Minus { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(numbers: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        numbers.iter().for_each(|number| sum.add(*number, 1));
        sum
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        assert_eq!(sum(&[1e100, 1.0, -1e100]).value(), 1.0);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0, "ten tenths, rounded once");
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(sum(&[5e-324, 5e-324]).value(), 1e-323);
        assert_eq!(sum(&[5e-324]).mean(2), 0.0, "a tie goes to even");
        assert_eq!(sum(&[1.5e-323]).mean(2), 1e-323);
        assert_eq!(sum(&[1.0, 2.0]).mean(3), 1.0);
        assert_eq!(sum(&[2.0]).mean(3), 2.0 / 3.0);
        assert_eq!(sum(&[]).value(), 0.0);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
        let mut back = sum(&[f64::NAN, 3.0]);
        back.add(f64::NAN, -1);
        assert_eq!(back.value(), 3.0);
    }

    proptest! {
        #[test]
        fn one_number_is_itself_and_what_was_added_can_be_taken_away(one: f64, others in prop::collection::vec(any::<f64>(), 0..20)) {
            let mut sum = ExactSum::default();
            others.iter().for_each(|number| sum.add(*number, 1));
            sum.add(one, 1);
            let mut bytes = Vec::new();
            sum.write(&mut bytes);
            let mut sum = ExactSum::read(&mut bytes.as_slice()).unwrap();
            others.iter().rev().for_each(|number| sum.add(*number, -1));
            prop_assert!(sum.value() == one || (one.is_nan() && sum.value().is_nan()), "{one:e} {:e}", sum.value());
        }

        #[test]
        fn two_numbers_are_added_as_the_machine_adds_them(a: f64, b: f64) {
            let expected = a + b;
            let found = sum(&[a, b]).value();
            prop_assert!(found == expected || (found.is_nan() && expected.is_nan()), "{a:e} + {b:e}: {found:e} {expected:e}");
        }

        #[test]
        fn a_mean_of_whole_numbers_is_the_quotient(a in -(1_i64 << 52)..1 << 52, count in 1..1_000_i64) {
            prop_assert_eq!(sum(&[a as f64]).mean(count), a as f64 / count as f64);
        }
    }
}
