//! `${params.x}`, `${row.x}` (left as it is), `${env:X}`, `${env:X:-default}`, `${file:path}`; `$${` is `${` itself.

use std::path::Path;

use super::document::Lookup;
use super::message::{self, Message};
use super::node::{Node, Span, Value};
use super::params::Params;
use super::report::Report;
use super::secrets::Secrets;

/// Expands the texts of a tree and remembers what came from the environment or from files.
pub(super) struct Expander<'a> {
    pub lookup: &'a Lookup<'a>,
    pub secrets: &'a mut Secrets,
}

/// One part of a text.
enum Part<'t> {
    Literal(&'t str),
    /// What stands between `${` and `}`.
    Expression(&'t str),
}

impl Expander<'_> {
    /// Expands every text in place; what cannot be expanded is reported and becomes [`Value::Unknown`].
    ///
    /// `params` is `None` while the parameters themselves are being read. Keys stay as they are.
    pub(super) fn expand(&mut self, node: &mut Node, params: Option<&Params>, report: &mut Report) {
        match &mut node.value {
            Value::String(text) if text.contains("${") => {
                let text = std::mem::take(text);
                node.value = self.text(&text, node.span, params, report).unwrap_or(Value::Unknown);
                if let Value::List(items) = &mut node.value {
                    items.iter_mut().for_each(|item| item.span = node.span);
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.expand(item, params, report)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.expand(&mut entry.value, params, report)),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, span: Span, params: Option<&Params>, report: &mut Report) -> Option<Value> {
        let Some(parts) = split(text) else {
            report.error(place(report, span, "${"), message::unclosed_expansion());
            return None;
        };
        if let [Part::Expression(inner)] = parts[..] {
            return self.expression(inner, span, params, report);
        }
        let mut whole = Some(String::new());
        for part in parts {
            let piece = match part {
                Part::Literal(literal) => Some(literal.to_owned()),
                Part::Expression(inner) => {
                    let value = self.expression(inner, span, params, report);
                    value.and_then(|value| self.piece(inner, &value, span, report))
                }
            };
            // All parts are looked at, so that every mistake is reported.
            whole = whole.zip(piece).map(|(whole, piece)| whole + &piece);
        }
        whole.map(Value::String)
    }

    /// A value inside a longer text.
    fn piece(&self, inner: &str, value: &Value, span: Span, report: &mut Report) -> Option<String> {
        match value {
            Value::Null => Some(String::new()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::String(text) => Some(text.clone()),
            Value::List(_) | Value::Map(_) => {
                let name = inner.trim_start_matches("params.");
                report.error(place(report, span, &format!("${{{inner}}}")), message::list_inside_text(name));
                None
            }
            Value::Unknown => None,
        }
    }

    fn expression(&mut self, inner: &str, span: Span, params: Option<&Params>, report: &mut Report) -> Option<Value> {
        match self.value_of(inner, params) {
            Ok(Value::Unknown) => None,
            Ok(value) => Some(value),
            Err(message) => {
                report.error(place(report, span, &format!("${{{inner}}}")), message);
                None
            }
        }
    }

    fn value_of(&mut self, inner: &str, params: Option<&Params>) -> Result<Value, Message> {
        let names = || params.into_iter().flat_map(|params| params.keys().map(String::as_str));
        if inner.contains("${") {
            return Err(message::nested_expansion());
        }
        if let Some(name) = inner.strip_prefix("params.") {
            let params = params.ok_or_else(message::param_in_params)?;
            return params.get(name).cloned().ok_or_else(|| message::unknown_param(name, names()));
        }
        if inner.starts_with("row.") && params.is_some() {
            // Bound when the row comes; the planner knows which tasks have rows.
            return Ok(Value::String(format!("${{{inner}}}")));
        }
        if let Some(variable) = inner.strip_prefix("env:") {
            let (name, default) =
                variable.split_once(":-").map_or((variable, None), |(name, default)| (name, Some(default)));
            if !super::check::is_name(name, "") {
                return Err(message::unknown_expansion(inner, names()));
            }
            // As in a shell, `:-` also replaces an empty value.
            return match ((self.lookup.env)(name), default) {
                (Some(value), None) => Ok(self.secret(value)),
                (Some(value), Some(_)) if !value.is_empty() => Ok(self.secret(value)),
                (_, Some(default)) => Ok(Value::String(default.to_owned())),
                (None, None) => Err(message::missing_env(name)),
            };
        }
        if let Some(path) = inner.strip_prefix("file:") {
            let content = (self.lookup.file)(Path::new(path)).map_err(|error| message::missing_file(path, &error))?;
            return Ok(self.secret(content.trim_end_matches(['\n', '\r']).to_owned()));
        }
        Err(message::unknown_expansion(inner, names()))
    }

    fn secret(&mut self, value: String) -> Value {
        self.secrets.add(&value);
        Value::String(value)
    }
}

/// The parts of a text; `None` where a `${` is not closed.
fn split(text: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        let literal = if escaped { &rest[..at - 1] } else { &rest[..at] };
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        if escaped {
            parts.push(Part::Literal("${"));
            rest = &rest[at + 2..];
            continue;
        }
        let end = at + rest[at..].find('}')?;
        parts.push(Part::Expression(&rest[at + 2..end]));
        rest = &rest[end + 1..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Some(parts)
}

/// Where an expression stands inside its text, as long as it is written there literally; else where the text begins.
fn place(report: &Report, span: Span, expression: &str) -> Span {
    let raw = report.source().slice(span);
    match raw.find(expression) {
        Some(at) => report.source().span(span.offset + at, span.offset + at + expression.len()),
        None => span,
    }
}
