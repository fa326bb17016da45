//! Settings that all inputs of text files have.

use std::time::Duration;

use aqueduct_model::{Error, HumanDuration, Result};
use encoding_rs::Encoding;
use schemars::JsonSchema;
use serde::Deserialize;

use super::bytes::Format;

/// Longest record that may be allowed: cells are addressed by 30 bits within a batch.
const LINE_BYTES_LIMIT: u64 = 256 << 20;

/// One pattern or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Paths {
    /// One file or pattern.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Paths {
    /// The patterns.
    pub(crate) fn patterns(&self) -> &[String] {
        match self {
            Self::One(pattern) => std::slice::from_ref(pattern),
            Self::Several(patterns) => patterns,
        }
    }
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compression {
    /// By extension: `.gz` and `.zst` are, others are not.
    #[default]
    Auto,
    /// Not at all, whatever their names.
    None,
    /// With gzip, whatever their names.
    Gzip,
    /// With Zstandard, whatever their names.
    Zstd,
}

/// Which files are read and how, checked.
#[derive(Debug, Clone)]
pub(crate) struct FileSettings {
    /// Files and patterns.
    pub(crate) path: Paths,
    /// Go on for ever.
    pub(crate) watch: bool,
    /// How often `watch` looks.
    pub(crate) watch_interval: Duration,
    /// Longest record in bytes.
    pub(crate) max_line_bytes: usize,
    /// Most files at a time.
    pub(crate) max_files: usize,
    /// How the bytes of a file become text.
    pub(crate) format: Format,
}

impl FileSettings {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.path.patterns().iter().all(String::is_empty) {
            return wrong("path", "no file is named", "give a file or a pattern such as in/*");
        }
        for pattern in self.path.patterns() {
            glob::Pattern::new(pattern).map_err(|error| {
                Error::config(format!("{pattern:?} is not a pattern")).with_setting("path").with_source(error)
            })?;
        }
        if !(1..=LINE_BYTES_LIMIT).contains(&(self.max_line_bytes as u64)) {
            return wrong("max_line_bytes", "a record has 1 byte to 256 MiB", "write for example 16MiB");
        }
        if self.max_files == 0 {
            return wrong("max_files", "no file could be read", "give a number above 0");
        }
        if self.watch && self.watch_interval.is_zero() {
            return wrong("watch_interval", "looking without a pause would keep a core busy", "write for example 1s");
        }
        Ok(())
    }
}

/// An error of the settings.
///
/// # Errors
/// `Config`, always.
pub(crate) fn wrong<T>(setting: &str, what: &str, hint: &str) -> Result<T> {
    Err(Error::config(what.to_owned()).with_setting(setting).with_hint(hint))
}

/// The encoding of a name, `None` for UTF-8.
///
/// # Errors
/// `Config` for a name that nobody knows.
pub(crate) fn encoding_of(name: &str) -> Result<Option<&'static Encoding>> {
    let encoding = Encoding::for_label(name.as_bytes()).ok_or_else(|| {
        Error::config(format!("{name:?} is not an encoding"))
            .with_setting("encoding")
            .with_hint("write for example utf-8, utf-16, gbk, gb18030, big5, shift_jis or latin1")
    })?;
    Ok((encoding != encoding_rs::UTF_8).then_some(encoding))
}

/// How often `watch` looks for new files and lines, by default.
pub(crate) fn watch_interval() -> HumanDuration {
    HumanDuration::from_secs(1)
}
