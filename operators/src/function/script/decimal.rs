//! What scripts can do with decimals: exact, or an error.

use std::cmp::Ordering;

use rhai::{Engine, EvalAltResult, Position};

use super::super::decimal::{DIGITS_MAX, Decimal, power};

/// Whether an order is one that a comparison is true for.
type Holds = fn(Ordering) -> bool;

type Computed<T = Decimal> = Result<T, Box<EvalAltResult>>;

fn failed<T>(why: &str) -> Computed<T> {
    Err(Box::new(EvalAltResult::ErrorArithmetic(why.to_owned(), Position::NONE)))
}

impl Decimal {
    fn aligned(self, other: Self) -> Computed<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        match (self.widened(scale), other.widened(scale)) {
            (Some(left), Some(right)) => Ok((left, right, scale)),
            _ => failed("too large"),
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

    fn of_text(text: &str) -> Computed {
        Self::parse(text).map_or_else(|| failed("a text that is no decimal"), Ok)
    }

    fn of_float(value: f64, scale: i64) -> Computed {
        match usize::try_from(scale) {
            Ok(scale) if value.is_finite() && scale <= DIGITS_MAX as usize => {
                Self::of_text(&format!("{value:.scale$}"))
            }
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
        .register_fn("decimal", |text: &str| Decimal::of_text(text))
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
    fn quotients_and_rounding() {
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
        assert!(huge.aligned(parsed("0.1")).is_err());
    }
}
