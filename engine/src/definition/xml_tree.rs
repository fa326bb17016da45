//! From XML elements to values; the rules are those of the module `xml`.

use super::node::{MapBuilder, Node, Span, Value};
use super::report::Report;
use super::scalar;
use super::source::Source;
use super::syntax_message;

/// An attribute, its text as written and as a typed value.
pub(super) struct Attribute {
    pub key: String,
    pub span: Span,
    pub text: String,
    pub value: Node,
}

/// An element that is or was read.
pub(super) struct Element {
    pub name: String,
    pub span: Span,
    pub attributes: Vec<Attribute>,
    pub children: Vec<Element>,
    text: String,
    text_span: Option<Span>,
    quoted: bool,
}

impl Element {
    pub(super) fn new(name: String, span: Span) -> Self {
        let (attributes, children) = (Vec::new(), Vec::new());
        Self { name, span, attributes, children, text: String::new(), text_span: None, quoted: false }
    }

    /// Adds a run of text; its place is the first character that is not blank.
    pub(super) fn add_text(&mut self, text: &str, span: Span, cdata: bool, source: &Source) {
        let raw = source.slice(span);
        if self.text_span.is_none() && (cdata || !text.trim().is_empty()) {
            let blank = if cdata { 0 } else { raw.len() - raw.trim_start().len() };
            let len = if cdata { raw.len() } else { raw.trim().len() };
            self.text_span = Some(source.span(span.offset + blank, span.offset + blank + len));
        }
        self.quoted |= cdata;
        self.text.push_str(text);
    }

    /// The root element as a flow.
    pub(super) fn into_flow(mut self, report: &mut Report) -> Option<Node> {
        if self.name != "flow" {
            report.error(self.span, syntax_message::xml_root(&self.name));
            return None;
        }
        for attribute in &mut self.attributes {
            if attribute.key == "name" {
                attribute.key = "flow".to_owned();
            }
        }
        let node = self.into_node(report);
        Some(match node.value {
            Value::Null => Node::new(node.span, Value::Map(Vec::new())),
            _ => node,
        })
    }

    fn into_node(self, report: &mut Report) -> Node {
        let has_keys = !self.attributes.is_empty() || !self.children.is_empty();
        if !has_keys {
            return self.into_scalar();
        }
        if let Some(span) = self.text_span {
            report.error(span, syntax_message::xml_mixed(&self.name)).hide_secret_line();
        }
        let item = if self.name == "tasks" { "task" } else { "item" };
        let is_list = self.attributes.is_empty() && self.children.iter().all(|child| child.name == item);
        let value = match is_list {
            true => Value::List(self.children.into_iter().map(|child| child.into_node(report)).collect()),
            false => into_map(self.attributes, self.children, report),
        };
        Node::new(self.span, value)
    }

    fn into_scalar(self) -> Node {
        let span = self.text_span.unwrap_or(self.span);
        let value = if self.quoted { Value::String(self.text) } else { scalar::plain(self.text.trim()) };
        Node::new(span, value)
    }
}

fn into_map(attributes: Vec<Attribute>, children: Vec<Element>, report: &mut Report) -> Value {
    let mut map = MapBuilder::default();
    let mut insert = |key: String, span: Span, value: Node, report: &mut Report| {
        if let Err(first) = map.insert(key.clone(), span, value) {
            report.error(span, syntax_message::xml_duplicate(&key, first));
        }
    };
    for attribute in attributes {
        insert(attribute.key, attribute.span, attribute.value, report);
    }
    for mut child in children {
        let key = match (child.name.as_str(), child.attributes.iter().position(|attribute| attribute.key == "key")) {
            ("entry", Some(at)) => child.attributes.remove(at).text,
            _ => child.name.clone(),
        };
        let span = child.span;
        insert(key, span, child.into_node(report), report);
    }
    map.finish()
}
