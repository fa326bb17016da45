//! The settings of `Masking`.

use std::collections::BTreeMap;

use aqueduct_model::{Error, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::tokens::Tokens;

/// The shortest key or salt, in bytes: shorter ones are guessed.
const KEY_BYTES_MIN: usize = 8;
/// The most days that a date is shifted.
const SHIFT_DAYS_MAX: u32 = 3_650;

/// Which columns are hidden, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskingConfig {
    /// The rule of each column, by name: `phone: { keep_last: 4 }`; null empties the column.
    pub columns: BTreeMap<String, Option<Rule>>,
    /// What happens when a table does not have one of the columns.
    #[serde(default)]
    pub missing: Missing,
}

/// What happens when a table does not have one of the columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The flow stops: a renamed column must not slip through in plain.
    #[default]
    Fail,
    /// The rule is skipped for that table.
    Skip,
}

/// How one column is hidden.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::described::variants)]
pub enum Rule {
    /// Shows the first n characters; a text that is not longer is hidden whole.
    KeepFirst(usize),
    /// Shows the last n characters; a text that is not longer is hidden whole.
    KeepLast(usize),
    /// Shows characters at both ends.
    Keep(Keep),
    /// Replaces every value by one text: `true` for `***`, or the text.
    Redact(Redact),
    /// Replaces a value by its HMAC-SHA-256 in hex. Equal values stay equal; the salt makes guessing useless.
    Hash(Hash),
    /// Replaces a value by a short token that is equal for equal values; not format-preserving.
    Pseudonym(Pseudonym),
    /// Replaces a value by another one of its form: digits stay digits, signs stay where they are. Reversible with the
    /// key. FF1 of NIST SP 800-38G with AES-256.
    Tokenize(Tokenize),
    /// Moves a date or time by whole days that follow from the value and a key.
    DateShift(DateShift),
    /// Moves a number by a part of itself that follows from the value and a key.
    Noise(Noise),
    /// A rule made for one kind of data.
    Preset(Preset),
}

/// Which characters are shown.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Characters shown at the beginning.
    #[serde(default)]
    pub first: usize,
    /// Characters shown at the end.
    #[serde(default)]
    pub last: usize,
    /// What each hidden character is replaced by.
    #[serde(default = "star")]
    pub with: char,
}

/// What values are replaced by.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Redact {
    /// `true`: by `***`.
    Flag(bool),
    /// By this text.
    Text(String),
}

/// How values are hashed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hash {
    /// The secret key of the HMAC, 8 bytes or more: `${env:SALT}`. The same salt gives the same hashes in every flow.
    pub salt: Secret,
    /// How many hex characters are kept, 16 to 64.
    #[serde(default = "whole_hash")]
    pub length: usize,
}

/// How tokens are made.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pseudonym {
    /// The secret key, 8 bytes or more: `${env:KEY}`.
    pub key: Secret,
    /// What every token begins with.
    #[serde(default)]
    pub prefix: String,
}

/// How tokens of the same form are made.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokenize {
    /// The secret key of AES-256 in hex, 64 characters, as `openssl rand -hex 32` gives it: `${env:KEY}`. The same key
    /// gives the same tokens in every flow.
    pub key: Secret,
    /// The characters that are replaced, by each other: `digits`, `alnum`, or `{ custom: "0123456789abcdef" }`. Signs
    /// and blanks stay; a value with another letter or digit is a bad row.
    #[serde(default)]
    pub alphabet: Alphabet,
    /// A text that need not be secret, up to 64 bytes; another one gives other tokens, for example the column's name.
    #[serde(default)]
    pub tweak: String,
}

/// Characters that tokens are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::described::variants)]
pub enum Alphabet {
    /// `0` to `9`.
    #[default]
    Digits,
    /// `0` to `9`, `A` to `Z`, `a` to `z`.
    Alnum,
    /// These characters, 2 to 1000 of them, each once.
    Custom(String),
}

/// How dates are moved.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DateShift {
    /// The most days that a date moves, forth or back: 1 to 3650.
    pub days: u32,
    /// The secret key, 8 bytes or more: `${env:KEY}`.
    pub key: Secret,
    /// A key column: all dates of a row with the same value there move by the same days, so the time between two dates
    /// of one person stays. By default each date moves by itself.
    #[serde(default)]
    pub by: Option<String>,
}

/// How numbers are moved.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// The most that a number moves, up or down, in percent of itself: above 0, up to 100.
    pub percent: f64,
    /// The secret key, 8 bytes or more: `${env:KEY}`.
    pub key: Secret,
}

/// Kinds of data with a usual way to hide them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Chinese ID card, 18 or 15 characters: the first 6 (region) and the last 4 stay, the birthday is hidden.
    IdCardCn,
    /// Chinese phone number: the first 3 and last 4 of the last 11 digits stay, signs and `+86` too.
    PhoneCn,
    /// E-mail: the first character and the domain stay.
    Email,
    /// Bank card: the last 4 digits stay, blanks too.
    BankCard,
}

fn star() -> char {
    '*'
}

fn whole_hash() -> usize {
    64
}

impl MaskingConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        if self.columns.is_empty() {
            return Err(Error::config("no column is masked")
                .with_setting("columns")
                .with_hint("write `columns: { phone: { keep_last: 4 } }`"));
        }
        self.columns.iter().filter_map(|(column, rule)| rule.as_ref().map(|rule| (column, rule))).try_for_each(
            |(column, rule)| rule.check().map_err(|error| error.with_setting(format!("columns.{column}"))),
        )
    }
}

impl Rule {
    fn check(&self) -> Result<()> {
        match self {
            Self::Redact(Redact::Flag(false)) => {
                Err(Error::config("`redact: false` hides nothing")
                    .with_hint("write `redact: true`, or remove the column"))
            }
            Self::Hash(hash) if !(16..=64).contains(&hash.length) => {
                Err(Error::config("`length` is not between 16 and 64")
                    .with_hint("shorter hashes of different values collide"))
            }
            Self::Hash(hash) => check_key("salt", &hash.salt),
            Self::Pseudonym(pseudonym) => check_key("key", &pseudonym.key),
            Self::Tokenize(tokenize) => Tokens::new(tokenize).map(drop),
            Self::DateShift(shift) if !(1..=SHIFT_DAYS_MAX).contains(&shift.days) => {
                Err(Error::config(format!("`days` is not between 1 and {SHIFT_DAYS_MAX}"))
                    .with_hint("write for example `days: 30`"))
            }
            Self::DateShift(shift) => check_key("key", &shift.key),
            Self::Noise(noise) if !(noise.percent > 0.0 && noise.percent <= 100.0) => {
                Err(Error::config("`percent` is not above 0 and up to 100").with_hint("write for example `percent: 5`"))
            }
            Self::Noise(noise) => check_key("key", &noise.key),
            _ => Ok(()),
        }
    }
}

fn check_key(setting: &str, key: &Secret) -> Result<()> {
    if key.expose().len() < KEY_BYTES_MIN {
        return Err(Error::config(format!("`{setting}` is shorter than {KEY_BYTES_MIN} bytes"))
            .with_hint("take a long random one, for example from `openssl rand -hex 16`, and give it as ${env:NAME}"));
    }
    Ok(())
}
