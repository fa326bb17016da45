//! Durations as people write them: `500ms`, `1s`, `5m`, `2h`, `1d`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time. Parses `500ms`, `1s`, `1.5h`, `2d`; a bare number is refused because its unit is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl HumanDuration {
    /// A duration of whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// A duration of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

/// Longest duration accepted: a hundred years, so that adding it to a clock cannot overflow.
const MAX_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || format!("{text:?} is not a duration; write for example 500ms, 1s, 5m, 2h or 1d");
        let split = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(complaint)?;
        let number: f64 = text[..split].trim().parse().map_err(|_| complaint())?;
        let factor = match text[split..].trim() {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return Err(complaint()),
        };
        let seconds = number * factor;
        if !(0.0..=MAX_SECONDS).contains(&seconds) {
            return Err(complaint());
        }
        Ok(Self(Duration::from_micros((seconds * 1e6).round() as u64)))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_micros();
        for (unit, factor) in [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000)] {
            if us >= factor && us.is_multiple_of(factor) {
                return write!(f, "{}{unit}", us / factor);
            }
        }
        if us.is_multiple_of(1_000) { write!(f, "{}ms", us / 1_000) } else { write!(f, "{us}us") }
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": "A duration such as `500ms`, `1s`, `5m`, `2h` or `1d`.", "examples": ["1s"]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, ms) in [("500ms", 500), ("1s", 1_000), ("1.5m", 90_000), ("2h", 7_200_000), ("1d", 86_400_000)] {
            assert_eq!(text.parse::<HumanDuration>().unwrap().0.as_millis(), ms, "{text}");
        }
        for text in ["", "1", "s", "-1s", "1 fortnight", "1e300d", "NaNs"] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
        for us in [0u64, 1, 1_000, 1_500_000, 60_000_000, 86_400_000_000] {
            let duration = HumanDuration(Duration::from_micros(us));
            assert_eq!(duration.to_string().parse::<HumanDuration>().unwrap(), duration);
        }
    }
}
