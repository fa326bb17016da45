//! Collects the mistakes found in one flow file.

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::message::Message;
use super::node::Span;
use super::secrets::Secrets;
use super::source::Source;

/// More mistakes than this are not listed: they follow from the first ones.
const MISTAKES_MAX: usize = 200;

/// The mistakes found so far.
#[derive(Debug)]
pub struct Report<'a> {
    source: &'a Source,
    found: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    /// No mistakes yet.
    pub fn new(source: &'a Source) -> Self {
        Self { source, found: Vec::new() }
    }

    /// The file that is looked at.
    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// Notes a mistake for which the flow is refused; the result takes the task and the setting.
    pub fn error(&mut self, span: Span, message: Message) -> &mut Diagnostic {
        self.add(span, Severity::Error, message)
    }

    /// Notes something that a person should look at.
    pub fn warn(&mut self, span: Span, message: Message) -> &mut Diagnostic {
        self.add(span, Severity::Warning, message)
    }

    fn add(&mut self, span: Span, severity: Severity, message: Message) -> &mut Diagnostic {
        self.found.truncate(MISTAKES_MAX);
        let index = self.found.len();
        self.found.push(Diagnostic::at(self.source, span, severity, message));
        &mut self.found[index]
    }

    /// Whether the flow is refused.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether further mistakes will not be listed, so that looking for them is a waste.
    pub fn is_full(&self) -> bool {
        self.found.len() > MISTAKES_MAX
    }

    /// Everything found, in the order of the file, free of secrets.
    pub fn finish(mut self, secrets: &Secrets) -> Diagnostics {
        self.found.truncate(MISTAKES_MAX);
        self.found.iter_mut().for_each(|diagnostic| diagnostic.redact(self.source, secrets));
        Diagnostics(self.found).sorted()
    }
}
