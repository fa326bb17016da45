//! One error type for the whole product, and the one policy that follows from its kind.

use std::fmt;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as policy is concerned. Chosen at the place that knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The other side cannot be reached or went away.
    Unavailable,
    /// The other side did not answer in time.
    Timeout,
    /// The other side asked for less load.
    Throttled,
    /// Credentials or privileges are missing or wrong.
    Auth,
    /// The flow file or a plugin's settings are wrong.
    Config,
    /// Source and target disagree about columns or types.
    Schema,
    /// A row cannot be handled, and the task's policy is to fail on it.
    Data,
    /// The position to resume from is no longer available at the source.
    LostPosition,
    /// The checkpoint folder, its lock or a fencing token forbids going on.
    State,
    /// A person ended it.
    Cancelled,
    /// An invariant of ours does not hold.
    Bug,
}

/// What the supervisor does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directive {
    /// Restart the flow from its last checkpoint, with backoff.
    Retry,
    /// Fail the flow: a person has to act.
    Stop,
}

impl ErrorKind {
    /// The only restart policy there is.
    pub const fn directive(self) -> Directive {
        match self {
            Self::Unavailable | Self::Timeout | Self::Throttled => Directive::Retry,
            _ => Directive::Stop,
        }
    }

    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Unavailable,
        Self::Timeout,
        Self::Throttled,
        Self::Auth,
        Self::Config,
        Self::Schema,
        Self::Data,
        Self::LostPosition,
        Self::State,
        Self::Cancelled,
        Self::Bug,
    ];

    /// The kind of that public name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The kind's public name: lower case with underscores, stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::Auth => "auth",
            Self::Config => "config",
            Self::Schema => "schema",
            Self::Data => "data",
            Self::LostPosition => "lost_position",
            Self::State => "state",
            Self::Cancelled => "cancelled",
            Self::Bug => "bug",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error: what was being done, to which task and setting, why it failed, and what to do next.
///
/// The text is lower case without a full stop and never holds cell values or secrets.
///
/// ```
/// use aqueduct_model::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::Config, "cannot open shop.db")
///     .with_setting("path")
///     .with_hint("create the file, or correct `path`");
/// assert_eq!(error.to_string(), "cannot open shop.db");
/// assert_eq!(error.kind(), ErrorKind::Config);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    context: String,
    task: Option<String>,
    setting: Option<String>,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error from its kind and what was being done.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, context: context.into(), task: None, setting: None, hint: None, source: None }))
    }

    /// A broken invariant of ours.
    pub fn bug(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, context)
    }

    /// A mistake in a flow file or in a plugin's settings.
    pub fn config(context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, context)
    }

    /// Keeps the underlying error.
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names the task, unless a place closer to the cause already did.
    pub fn with_task(mut self, task: impl Into<String>) -> Self {
        self.0.task.get_or_insert(task.into());
        self
    }

    /// Names the setting at fault as its path inside the task's `config`.
    pub fn with_setting(mut self, setting: impl Into<String>) -> Self {
        self.0.setting.get_or_insert(setting.into());
        self
    }

    /// Says what to do next: the exact statement or setting.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert(hint.into());
        self
    }

    /// What policy follows.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The task that failed, where known.
    pub fn task(&self) -> Option<&str> {
        self.0.task.as_deref()
    }

    /// The setting at fault, where there is one.
    pub fn setting(&self) -> Option<&str> {
        self.0.setting.as_deref()
    }

    /// What to do next, where a person has to act.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The whole story in one line: context, then each cause in turn.
    pub fn chain(&self) -> String {
        let mut text = self.0.context.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let part = error.to_string();
            if !text.ends_with(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.context)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} error", self.0.kind)?;
        if let Some(task) = &self.0.task {
            write!(f, " in task {task}")?;
        }
        if let Some(setting) = &self.0.setting {
            write!(f, ", setting {setting}")?;
        }
        write!(f, ": {}", self.chain())?;
        if let Some(hint) = &self.0.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|error| error as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_task_setting_and_hint_win() {
        let error = Error::config("x").with_task("a").with_task("b").with_hint("h").with_hint("other");
        assert_eq!((error.task(), error.hint()), (Some("a"), Some("h")));
    }

    #[test]
    fn only_three_kinds_retry() {
        let retried: Vec<_> = [
            ErrorKind::Unavailable,
            ErrorKind::Timeout,
            ErrorKind::Throttled,
            ErrorKind::Auth,
            ErrorKind::Config,
            ErrorKind::Schema,
            ErrorKind::Data,
            ErrorKind::LostPosition,
            ErrorKind::State,
            ErrorKind::Bug,
        ]
        .into_iter()
        .filter(|kind| kind.directive() == Directive::Retry)
        .collect();
        assert_eq!(retried, [ErrorKind::Unavailable, ErrorKind::Timeout, ErrorKind::Throttled]);
    }

    #[test]
    fn the_chain_names_every_cause_once() {
        let inner = Error::config("no such file");
        assert_eq!(Error::config("cannot open a.db").with_source(inner).chain(), "cannot open a.db: no such file");
    }
}
