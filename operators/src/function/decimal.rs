//! Decimals of any scale: exact, or nothing.

use std::cmp::Ordering;
use std::fmt;

/// The most digits behind the point, and in all, as in Arrow's `Decimal128`.
pub(super) const DIGITS_MAX: u32 = 38;

/// `units / 10^scale`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    pub(super) units: i128,
    pub(super) scale: u32,
}

/// A power of ten; `None` when it does not fit.
pub(super) fn power(digits: u32) -> Option<i128> {
    (digits <= DIGITS_MAX).then(|| 10_i128.pow(digits))
}

impl Decimal {
    /// The same number with more digits behind the point; `None` when it does not fit.
    pub(super) fn widened(self, scale: u32) -> Option<i128> {
        power(scale.checked_sub(self.scale)?)?.checked_mul(self.units)
    }

    /// The units at another scale; `None` when digits that are not zero would be lost, or it does not fit.
    pub(super) fn at_scale(self, scale: u32) -> Option<i128> {
        if scale >= self.scale {
            return self.widened(scale);
        }
        let factor = power(self.scale - scale)?;
        (self.units % factor == 0).then(|| self.units / factor)
    }

    /// Which of two is greater, whatever their scales.
    pub(super) fn compare(self, other: Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.widened(scale), other.widened(scale)) {
            (Some(left), Some(right)) => left.cmp(&right),
            // The one that does not fit is further from zero than any that does.
            (None, Some(_)) => self.units.signum().cmp(&0),
            (Some(_), None) => 0.cmp(&other.units.signum()),
            // Only the one of less scale is widened.
            (None, None) => Ordering::Equal,
        }
    }

    /// Reads digits with an optional sign and point: `-12.50`, `+7`, `.5`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{part}");
        let is_number = !all.is_empty() && all.bytes().all(|byte| byte.is_ascii_digit());
        let fits = is_number && part.len() <= DIGITS_MAX as usize;
        let units = all.parse::<i128>().ok().filter(|_| fits)?;
        Some(Self { units: sign * units, scale: part.len() as u32 })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.units.unsigned_abs(), width = self.scale as usize + 1);
        let (whole, part) = digits.split_at(digits.len() - self.scale as usize);
        let sign = if self.units < 0 { "-" } else { "" };
        let point = if part.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{part}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_orders() {
        for (text, shown) in [("1.50", "1.50"), ("-0.05", "-0.05"), ("+7", "7"), (".5", "0.5"), ("0", "0")] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "-", "1e3", "1.2.3", "١", &"9".repeat(40)] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
        let zero = Decimal { units: 0, scale: 2 };
        let huge = Decimal { units: i128::MAX, scale: 0 };
        assert_eq!(huge.compare(zero), Ordering::Greater);
        assert_eq!(zero.compare(huge), Ordering::Less);
    }
}
