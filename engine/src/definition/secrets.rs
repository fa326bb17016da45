//! Values that must not be seen: remembered so that every text can be cleaned of them.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

/// What stands in place of a secret.
const MASK: &str = "***";
/// Shorter values are not looked for: they would mask harmless text everywhere.
const LEN_MIN: usize = 4;
/// Lines of a secret of several lines (keys, certificates) are looked for one by one from this length.
const LINE_LEN_MIN: usize = 8;

/// The secrets of a flow. `Debug` prints their number only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Longest first, so that a secret which contains another one is masked as a whole.
    values: BTreeSet<(Reverse<usize>, String)>,
}

impl Secrets {
    /// Remembers a value, each longer line of it, and the way it is written inside JSON.
    pub fn add(&mut self, value: &str) {
        self.push(value);
        self.push(value.trim());
        if value.contains('\n') {
            for line in value.lines().map(str::trim).filter(|line| line.len() >= LINE_LEN_MIN) {
                self.push(line);
            }
        }
        let quoted = format!("{value:?}");
        self.push(&quoted[1..quoted.len() - 1]);
        let json = serde_json::Value::from(value).to_string();
        self.push(&json[1..json.len() - 1]);
    }

    fn push(&mut self, value: &str) {
        if value.len() >= LEN_MIN {
            self.values.insert((Reverse(value.len()), value.to_owned()));
        }
    }

    /// Remembers all of another set.
    pub fn extend(&mut self, other: &Self) {
        self.values.extend(other.values.iter().cloned());
    }

    /// The text with every secret replaced by `***`.
    pub fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for (_, value) in &self.values {
            if clean.contains(value.as_str()) {
                clean = clean.replace(value.as_str(), MASK);
            }
        }
        clean
    }

    /// True when there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}
