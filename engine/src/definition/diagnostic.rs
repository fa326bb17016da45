//! What is wrong with a flow file: where, what, and how to mend it.

use std::fmt;

use aqueduct_model::{Error, ErrorKind};
use serde::Serialize;

use super::literal_secrets::looks_secret;
use super::message::Message;
use super::node::Span;
use super::secrets::Secrets;
use super::source::Source;

/// Whether a flow can start all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The flow is refused.
    Error,
    /// The flow is accepted.
    Warning,
}

/// One mistake in a flow file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether the flow is refused for it.
    pub severity: Severity,
    /// The file, as its path was given.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The id of the task, where the mistake belongs to one.
    pub task: Option<String>,
    /// The setting as a path from the top of the file or of the task.
    pub setting: Option<String>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The part of the line around the place, free of secrets and control characters.
    pub source_line: Option<SourceLine>,
}

/// A piece of a line, split at the place that is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceLine {
    /// What stands before.
    pub before: String,
    /// What is meant.
    pub marked: String,
    /// What stands behind.
    pub after: String,
}

/// How much of a long line is shown on either side of the place.
const SHOWN_CHARS: usize = 80;

/// Text of a file must not steer the terminal, nor turn its writing direction.
fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

impl SourceLine {
    /// The line that a span begins in, split at byte `at`; `len` characters are meant.
    fn of(line: &str, at: usize, len: usize) -> Option<Self> {
        let (before, rest) = line.split_at_checked(at)?;
        let shown_from = before.char_indices().rev().take(SHOWN_CHARS).last().map_or(0, |(at, _)| at);
        let marked: String = rest.chars().take(len.clamp(1, SHOWN_CHARS)).collect();
        let after: String = rest[marked.len()..].chars().take(SHOWN_CHARS).collect();
        Some(Self { before: printable(&before[shown_from..]), marked: printable(&marked), after: printable(&after) })
    }
}

impl Diagnostic {
    /// A mistake at a place of a file.
    pub fn at(source: &Source, span: Span, severity: Severity, message: Message) -> Self {
        let marked = source.slice(span).lines().next().unwrap_or_default().trim_end();
        let marked_chars = marked.chars().take(SHOWN_CHARS).count();
        let line_start = source.line_start(span.line);
        Self {
            severity,
            path: source.path().to_owned(),
            line: span.line,
            column: span.column,
            task: None,
            setting: None,
            message: printable(&message.cause),
            hint: printable(&message.hint),
            source_line: source
                .line(span.line)
                .and_then(|line| SourceLine::of(line, span.offset.saturating_sub(line_start), marked_chars)),
        }
    }

    /// A mistake that concerns a file as a whole: line 1, column 1, without the text.
    pub fn whole_file(path: &str, message: Message) -> Self {
        Self {
            severity: Severity::Error,
            path: path.to_owned(),
            line: 1,
            column: 1,
            task: None,
            setting: None,
            message: message.cause,
            hint: message.hint,
            source_line: None,
        }
    }

    /// Names the task.
    pub fn in_task(&mut self, task: &str) -> &mut Self {
        self.task = Some(printable(task));
        self
    }

    /// Names the setting.
    pub fn of_setting(&mut self, setting: &str) -> &mut Self {
        self.setting = Some(printable(setting));
        self
    }

    /// Does not show a line that looks as if it held a password: for mistakes found before values are known.
    pub(super) fn hide_secret_line(&mut self) -> &mut Self {
        let shown = self.source_line.take();
        self.source_line = shown.filter(|line| !looks_secret(&format!("{}{}{}", line.before, line.marked, line.after)));
        self
    }

    /// Removes secrets from every text; `source` is the file that it speaks of.
    pub fn redact(&mut self, source: &Source, secrets: &Secrets) {
        let clean = |text: &mut String| *text = secrets.redact(text);
        clean(&mut self.message);
        clean(&mut self.hint);
        self.task.iter_mut().chain(&mut self.setting).for_each(clean);
        // Half of a secret at the edge of what is shown of a long line would not be recognised.
        let is_cut = |line: &&str| line.len() > SHOWN_CHARS && secrets.redact(line) != *line;
        if source.line(self.line).filter(is_cut).is_some() {
            self.source_line = None;
        }
        if let Some(line) = &mut self.source_line {
            // A secret may lie across the marked place, so it is looked for in the line as a whole first.
            let whole = format!("{}{}{}", line.before, line.marked, line.after);
            if secrets.redact(&whole) != whole {
                clean(&mut line.before);
                clean(&mut line.marked);
                clean(&mut line.after);
                let parts = format!("{}{}{}", line.before, line.marked, line.after);
                if secrets.redact(&parts) != parts || parts == whole {
                    self.source_line = None;
                }
            }
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, "{}:{}:{}: {severity}[config]: ", self.path, self.line, self.column)?;
        if let Some(task) = &self.task {
            write!(f, "task {task}: ")?;
        }
        writeln!(f, "{}", self.message)?;
        if let Some(SourceLine { before, marked, after }) = &self.source_line {
            let indent = " ".repeat(before.chars().count());
            let carets = "^".repeat(marked.chars().count().max(1));
            writeln!(f, "{:>5} | {before}{marked}{after}", self.line)?;
            writeln!(f, "      | {indent}{carets}")?;
        }
        write!(f, "      help: {}", self.hint)
    }
}

/// Everything that is wrong with a flow file, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Puts them into the order of the file and drops repetitions.
    pub fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| {
            (a.line, a.column, a.severity, &a.message).cmp(&(b.line, b.column, b.severity, &b.message))
        });
        self.0.dedup();
        self
    }

    /// Whether the flow is refused.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostics> for Error {
    /// A `Config` error that speaks of the first mistake and keeps all of them as its source.
    fn from(diagnostics: Diagnostics) -> Self {
        let Some(first) = diagnostics.0.iter().find(|diagnostic| diagnostic.severity == Severity::Error) else {
            return Self::bug("a flow file was refused without a reason");
        };
        let place = format!("{}:{}:{}: {}", first.path, first.line, first.column, first.message);
        let mut error = Self::new(ErrorKind::Config, place).with_hint(first.hint.clone());
        if let Some(task) = &first.task {
            error = error.with_task(task.clone());
        }
        if let Some(setting) = &first.setting {
            error = error.with_setting(setting.clone());
        }
        error.with_source(diagnostics)
    }
}
