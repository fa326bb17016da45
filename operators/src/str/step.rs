//! One thing that is done with one text.

use std::borrow::Cow;

use aqueduct_model::{Error, Result};
use md5::{Digest, Md5};
use regex::Regex;
use sha2::{Sha256, Sha512};

use super::coding::{decode, encode, hex};
use super::config::{Action, Case, Coding, HashKind, Pad, PadSide, RegexExtract, Replace, Side, SplitPart, Substring};

/// The longest text that `pad` makes, in characters.
const PAD_MAX: usize = 100_000;

/// An action that was checked, its patterns compiled.
#[derive(Debug)]
pub(super) enum Step {
    Trim(Side),
    Strip { chars: Vec<char>, side: Side },
    Case(Case),
    Pad(Pad),
    Replace(Replace),
    Extract { pattern: Regex, group: usize },
    ReplaceMatches { pattern: Regex, with: String },
    Substring(Substring),
    Split(SplitPart),
    Hash(HashKind),
    Encode(Coding),
    Decode(Coding),
}

/// What a step makes of a text: another one, NULL, or a reason (free of cell values) why it cannot.
type Made<'a> = Result<Option<Cow<'a, str>>, &'static str>;

impl Step {
    /// Checks an action.
    ///
    /// # Errors
    /// `Config` with what is wrong.
    pub(super) fn new(action: &Action) -> Result<Self> {
        Ok(match action {
            Action::Trim(side) => Self::Trim(*side),
            Action::Strip(strip) if strip.chars.is_empty() => return Err(empty("chars")),
            Action::Strip(strip) => Self::Strip { chars: strip.chars.chars().collect(), side: strip.side },
            Action::Case(case) => Self::Case(*case),
            Action::Pad(pad) if !(1..=PAD_MAX).contains(&pad.length) => {
                return Err(Error::config(format!("`length` is not between 1 and {PAD_MAX}"))
                    .with_hint("write for example `{ pad: { length: 8, with: \"0\" } }`"));
            }
            Action::Pad(pad) => Self::Pad(pad.clone()),
            Action::Replace(replace) if replace.from.is_empty() => return Err(empty("from")),
            Action::Replace(replace) => Self::Replace(replace.clone()),
            Action::RegexExtract(extract) => Self::extract(extract)?,
            Action::RegexReplace(replace) => {
                Self::ReplaceMatches { pattern: pattern(&replace.pattern)?, with: replace.with.clone() }
            }
            Action::Substring(part) if part.start == 0 => return Err(counted("start")),
            Action::Substring(part) => Self::Substring(*part),
            Action::Split(split) if split.by.is_empty() => return Err(empty("by")),
            Action::Split(split) if split.part == 0 => return Err(counted("part")),
            Action::Split(split) => Self::Split(split.clone()),
            Action::Hash(kind) => Self::Hash(*kind),
            Action::Encode(coding) => Self::Encode(*coding),
            Action::Decode(coding) => Self::Decode(*coding),
        })
    }

    fn extract(extract: &RegexExtract) -> Result<Self> {
        let pattern = pattern(&extract.pattern)?;
        let groups = pattern.captures_len() - 1;
        let group = extract.group.unwrap_or(groups.min(1));
        if group > groups {
            return Err(Error::config(format!("the pattern has {groups} groups, so there is no group {group}"))
                .with_hint("write parentheses around what is wanted, or `group: 0` for the whole match"));
        }
        Ok(Self::Extract { pattern, group })
    }

    /// The text after the step.
    pub(super) fn apply<'a>(&self, text: Cow<'a, str>) -> Made<'a> {
        Ok(Some(match self {
            Self::Trim(side) => part(text, |text| match side {
                Side::Both => text.trim(),
                Side::Left => text.trim_start(),
                Side::Right => text.trim_end(),
            }),
            Self::Strip { chars, side } => part(text, |text| match side {
                Side::Both => text.trim_matches(chars.as_slice()),
                Side::Left => text.trim_start_matches(chars.as_slice()),
                Side::Right => text.trim_end_matches(chars.as_slice()),
            }),
            Self::Case(case) => Cow::Owned(cased(&text, *case)),
            Self::Pad(pad) => padded(text, pad),
            Self::Replace(replace) => match text.contains(&replace.from) {
                true => Cow::Owned(text.replace(&replace.from, &replace.to)),
                false => text,
            },
            Self::Extract { pattern, group } => {
                let found = pattern.captures(&text).and_then(|found| found.get(*group)).map(|found| found.range());
                return Ok(found.map(|range| part(text, |text| &text[range])));
            }
            Self::ReplaceMatches { pattern, with } => match pattern.replace_all(&text, with.as_str()) {
                Cow::Borrowed(_) => text,
                Cow::Owned(replaced) => Cow::Owned(replaced),
            },
            Self::Substring(wanted) => part(text, |text| substring(text, wanted)),
            Self::Split(split) => match nth_part(&text, split) {
                Some((from, to)) => part(text, |text| &text[from..to]),
                None => return Ok(None),
            },
            Self::Hash(kind) => Cow::Owned(match kind {
                HashKind::Md5 => hex(&Md5::digest(text.as_bytes())),
                HashKind::Sha256 => hex(&<Sha256 as sha2::Digest>::digest(text.as_bytes())),
                HashKind::Sha512 => hex(&<Sha512 as sha2::Digest>::digest(text.as_bytes())),
            }),
            Self::Encode(coding) => Cow::Owned(encode(*coding, &text)),
            Self::Decode(coding) => Cow::Owned(decode(*coding, &text).ok_or(match coding {
                Coding::Base64 => "a value is not UTF-8 text in base64",
                Coding::Base64url => "a value is not UTF-8 text in base64url",
                Coding::Hex => "a value is not UTF-8 text in hex",
                Coding::Url => "a value is not percent-encoded UTF-8 text",
            })?),
        }))
    }
}

/// A part of a text, without copying where the text is borrowed.
fn part<'a>(text: Cow<'a, str>, cut: impl FnOnce(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => {
            let kept = cut(text);
            // The part lies inside the text, so its place there is where it begins.
            let from = kept.as_ptr().addr() - text.as_ptr().addr();
            Cow::Borrowed(&text[from..from + kept.len()])
        }
        Cow::Owned(text) => Cow::Owned(cut(&text).to_owned()),
    }
}

fn cased(text: &str, case: Case) -> String {
    match case {
        Case::Upper => text.to_uppercase(),
        Case::Lower => text.to_lowercase(),
        Case::Title => {
            let mut titled = String::with_capacity(text.len());
            let mut inside = false;
            for c in text.chars() {
                match inside {
                    true => titled.extend(c.to_lowercase()),
                    false => titled.extend(c.to_uppercase()),
                }
                inside = c.is_alphanumeric() || (inside && c == '\'');
            }
            titled
        }
    }
}

fn padded<'a>(text: Cow<'a, str>, pad: &Pad) -> Cow<'a, str> {
    let length = text.chars().count();
    if length >= pad.length {
        return text;
    }
    let filling: String = std::iter::repeat_n(pad.with, pad.length - length).collect();
    Cow::Owned(match pad.side {
        PadSide::Left => format!("{filling}{text}"),
        PadSide::Right => format!("{text}{filling}"),
    })
}

fn substring<'a>(text: &'a str, wanted: &Substring) -> &'a str {
    let skipped = match usize::try_from(wanted.start) {
        Ok(start) => start - 1,
        Err(_) => {
            let back = usize::try_from(wanted.start.unsigned_abs()).unwrap_or(usize::MAX);
            text.chars().count().saturating_sub(back)
        }
    };
    let place = |text: &str, n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    let rest = &text[place(text, skipped)..];
    match wanted.length {
        Some(length) => &rest[..place(rest, length)],
        None => rest,
    }
}

/// Where the wanted part begins and ends.
fn nth_part(text: &str, split: &SplitPart) -> Option<(usize, usize)> {
    let index = match usize::try_from(split.part) {
        Ok(part) => part - 1,
        Err(_) => {
            let parts = text.split(split.by.as_str()).count();
            parts.checked_sub(usize::try_from(split.part.unsigned_abs()).ok()?)?
        }
    };
    let mut from = 0;
    for (i, part) in text.split(split.by.as_str()).enumerate() {
        if i == index {
            return Some((from, from + part.len()));
        }
        from += part.len() + split.by.len();
    }
    None
}

fn pattern(text: &str) -> Result<Regex> {
    Regex::new(text).map_err(|error| {
        Error::config("the pattern is not a regular expression")
            .with_source(error)
            .with_hint("the syntax is that of https://docs.rs/regex; back references and look-around do not exist")
    })
}

fn empty(setting: &str) -> Error {
    Error::config(format!("`{setting}` is empty")).with_hint("write the text that is looked for")
}

fn counted(setting: &str) -> Error {
    Error::config(format!("`{setting}` is 0")).with_hint("count from 1, or from the end with -1")
}
