//! Decimals in scripts: exact, or an error.

use std::cmp::Ordering;
use std::fmt;

use rhai::{Engine, EvalAltResult, Position};

/// The most digits behind the point, and in all, as in Arrow's `Decimal128`.
const DIGITS_MAX: u32 = 38;

/// `units / 10^scale`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    pub(super) units: i128,
    pub(super) scale: u32,
}

/// Whether an order is one that a comparison is true for.
type Holds = fn(Ordering) -> bool;

type Computed<T = Decimal> = Result<T, Box<EvalAltResult>>;

fn failed<T>(why: &str) -> Computed<T> {
    Err(Box::new(EvalAltResult::ErrorArithmetic(why.to_owned(), Position::NONE)))
}

fn power(digits: u32) -> Option<i128> {
    (digits <= DIGITS_MAX).then(|| 10_i128.pow(digits))
}

impl Decimal {
    /// The same number with more digits behind the point; `None` when it does not fit.
    fn widened(self, scale: u32) -> Option<i128> {
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

    fn aligned(self, other: Self) -> Computed<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        match (self.widened(scale), other.widened(scale)) {
            (Some(left), Some(right)) => Ok((left, right, scale)),
            _ => failed("too large"),
        }
    }

    fn compare(self, other: Self) -> Ordering {
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

    /// Rounded half away from zero.
    fn rounded(self, scale: i64) -> Computed {
        let Some(scale) = u32::try_from(scale).ok().filter(|scale| *scale <= DIGITS_MAX) else {
            return failed("scale");
        };
        if scale >= self.scale {
            return match self.widened(scale) {
                Some(units) => Ok(Self { units, scale }),
                None => failed("too large"),
            };
        }
        let Some(factor) = power(self.scale - scale) else { return Ok(Self { units: 0, scale }) };
        Ok(Self { units: divided(self.units, factor).unwrap_or_default(), scale })
    }

    fn divided_by(self, other: Self, scale: i64) -> Computed {
        if other.units == 0 {
            return failed("Division by zero");
        }
        let Some(scale) = u32::try_from(scale).ok().filter(|scale| *scale <= DIGITS_MAX) else {
            return failed("scale");
        };
        // self / other at `scale` is units * 10^(scale + other.scale - self.scale) / other.units.
        let (up, down) = (scale + other.scale, self.scale);
        let quotient = if up >= down {
            power(up - down).and_then(|factor| factor.checked_mul(self.units)).and_then(|n| divided(n, other.units))
        } else {
            power(down - up).and_then(|factor| factor.checked_mul(other.units)).and_then(|n| divided(self.units, n))
        };
        match quotient {
            Some(units) => Ok(Self { units, scale }),
            None => failed("too large"),
        }
    }

    fn parse(text: &str) -> Computed {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{part}");
        let is_number = !all.is_empty() && all.bytes().all(|byte| byte.is_ascii_digit());
        match all.parse::<i128>() {
            Ok(units) if is_number && part.len() <= DIGITS_MAX as usize => {
                Ok(Self { units: sign * units, scale: part.len() as u32 })
            }
            _ => failed("a text that is no decimal"),
        }
    }

    fn of_float(value: f64, scale: i64) -> Computed {
        match usize::try_from(scale) {
            Ok(scale) if value.is_finite() && scale <= DIGITS_MAX as usize => Self::parse(&format!("{value:.scale$}")),
            _ => failed("a number that is no decimal"),
        }
    }

    fn whole(value: i64) -> Self {
        Self { units: value.into(), scale: 0 }
    }

    fn to_int(self) -> Computed<i64> {
        match self.at_scale(0).and_then(|units| i64::try_from(units).ok()) {
            Some(value) => Ok(value),
            None => failed("a decimal that is no whole number"),
        }
    }
}

/// Rounded half away from zero; `None` when it does not fit.
fn divided(value: i128, by: i128) -> Option<i128> {
    let (quotient, rest) = (value.checked_div(by)?, value.checked_rem(by)?);
    let is_half = rest.unsigned_abs() >= by.unsigned_abs() - rest.unsigned_abs();
    let away = if (value < 0) == (by < 0) { 1 } else { -1 };
    if is_half && rest != 0 { quotient.checked_add(away) } else { Some(quotient) }
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

fn add(left: Decimal, right: Decimal) -> Computed {
    let (left, right, scale) = left.aligned(right)?;
    left.checked_add(right).map_or_else(|| failed("too large"), |units| Ok(Decimal { units, scale }))
}

fn subtract(left: Decimal, right: Decimal) -> Computed {
    let (left, right, scale) = left.aligned(right)?;
    left.checked_sub(right).map_or_else(|| failed("too large"), |units| Ok(Decimal { units, scale }))
}

fn multiply(left: Decimal, right: Decimal) -> Computed {
    match left.units.checked_mul(right.units) {
        Some(units) if left.scale + right.scale <= DIGITS_MAX => Ok(Decimal { units, scale: left.scale + right.scale }),
        _ => failed("too large"),
    }
}

/// Gives scripts the type and what it can do.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Decimal>("decimal");
    for (name, operation) in [("+", add as fn(Decimal, Decimal) -> Computed), ("-", subtract), ("*", multiply)] {
        engine
            .register_fn(name, operation)
            .register_fn(name, move |left: Decimal, right: i64| operation(left, Decimal::whole(right)))
            .register_fn(name, move |left: i64, right: Decimal| operation(Decimal::whole(left), right));
    }
    let comparisons: [(&str, Holds); 6] = [
        ("==", Ordering::is_eq),
        ("!=", Ordering::is_ne),
        ("<", Ordering::is_lt),
        ("<=", Ordering::is_le),
        (">", Ordering::is_gt),
        (">=", Ordering::is_ge),
    ];
    for (name, holds) in comparisons {
        engine
            .register_fn(name, move |left: Decimal, right: Decimal| holds(left.compare(right)))
            .register_fn(name, move |left: Decimal, right: i64| holds(left.compare(Decimal::whole(right))))
            .register_fn(name, move |left: i64, right: Decimal| holds(Decimal::whole(left).compare(right)));
    }
    engine
        .register_fn("-", |value: Decimal| match value.units.checked_neg() {
            Some(units) => Ok(Decimal { units, ..value }),
            None => failed::<Decimal>("too large"),
        })
        .register_fn("abs", |value: Decimal| match value.units.checked_abs() {
            Some(units) => Ok(Decimal { units, ..value }),
            None => failed::<Decimal>("too large"),
        })
        .register_fn("decimal", |text: &str| Decimal::parse(text))
        .register_fn("decimal", Decimal::whole)
        .register_fn("decimal", Decimal::of_float)
        .register_fn("round", |value: Decimal, scale: i64| value.rounded(scale))
        .register_fn("div", |left: Decimal, right: Decimal, scale: i64| left.divided_by(right, scale))
        .register_fn("div", |left: Decimal, right: i64, scale: i64| left.divided_by(Decimal::whole(right), scale))
        .register_fn("to_int", |value: Decimal| value.to_int())
        .register_fn("to_float", |value: Decimal| value.to_string().parse::<f64>().unwrap_or(f64::NAN))
        .register_fn("to_string", |value: Decimal| value.to_string())
        .register_fn("to_debug", |value: Decimal| value.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers() {
        for (text, shown) in [("1.50", "1.50"), ("-0.05", "-0.05"), ("+7", "7"), (".5", "0.5"), ("0", "0")] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "-", "1e3", "1.2.3", "١", &"9".repeat(40)] {
            assert!(Decimal::parse(text).is_err(), "{text}");
        }
        let parsed = |text| Decimal::parse(text).unwrap();
        for (left, right, scale, quotient) in
            [("1", "3", 4, "0.3333"), ("-1", "2", 0, "-1"), ("2", "3", 2, "0.67"), ("1.000", "8", 1, "0.1")]
        {
            assert_eq!(parsed(left).divided_by(parsed(right), scale).unwrap().to_string(), quotient);
        }
        for (value, scale, rounded) in [("2.345", 2, "2.35"), ("-2.345", 2, "-2.35"), ("2.344", 2, "2.34")] {
            assert_eq!(parsed(value).rounded(scale).unwrap().to_string(), rounded);
        }
        assert_eq!(Decimal::of_float(0.1, 2).unwrap().to_string(), "0.10");
        let huge = Decimal { units: i128::MAX, scale: 0 };
        assert_eq!(huge.compare(parsed("0.00")), Ordering::Greater);
        assert_eq!(parsed("0.00").compare(huge), Ordering::Less);
        assert!(huge.aligned(parsed("0.1")).is_err());
    }
}
