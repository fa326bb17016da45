//! XML, without anything that could read files, grow or recurse: no DTD, no entities but the five predefined ones,
//! no processing instructions.
//!
//! How elements become values:
//! * an attribute is a key with a scalar; a child element is a key with its value;
//! * `<tasks>` of `<task>` elements, and any element whose children are all `<item>`, is a list;
//! * `<entry key="any text">…</entry>` is a key that is not an XML name;
//! * text is typed like a plain YAML scalar; a CDATA section is always text; an empty element is null;
//! * the root is `<flow>`, and its attribute `name` is the key `flow`.

use quick_xml::Reader;
use quick_xml::errors::Error;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::message;
use super::node::{Node, Span, Value};
use super::report::Report;
use super::scalar;
use super::source::Source;
use super::syntax_message;
use super::xml_tree::{Attribute, Element};
use super::yaml::DEPTH_MAX;

/// Reads the tree; `None` after a mistake that makes the rest unreadable. An empty file is null.
pub(super) fn parse(source: &Source, report: &mut Report) -> Option<Node> {
    let mut reader = Reader::from_str(source.text());
    let mut tree = Tree { source, open: Vec::new(), root: None };
    loop {
        let start = reader.buffer_position() as usize;
        let event = match reader.read_event() {
            Ok(Event::Eof) => break,
            Ok(event) => event,
            Err(error) => {
                let at = reader.error_position() as usize;
                report
                    .error(source.span(at, at + 1), syntax_message::xml_syntax(&xml_error(&error)))
                    .hide_secret_line();
                return None;
            }
        };
        let span = source.span(start, reader.buffer_position() as usize);
        tree.event(event, span, report)?;
    }
    if let Some(element) = tree.open.last() {
        report.error(element.span, syntax_message::xml_unclosed(&element.name));
        return None;
    }
    match tree.root {
        Some(root) => root.into_flow(report),
        None => Some(Node::new(source.span(0, 0), Value::Null)),
    }
}

/// The elements that are being read, outermost first.
struct Tree<'a> {
    source: &'a Source,
    open: Vec<Element>,
    root: Option<Element>,
}

impl Tree<'_> {
    fn event(&mut self, event: Event, span: Span, report: &mut Report) -> Option<()> {
        match event {
            Event::Start(start) => self.start(&start, span, report),
            Event::Empty(start) => {
                self.start(&start, span, report)?;
                self.end(report)
            }
            Event::End(_) => self.end(report),
            Event::Text(text) => self.text(&text.xml10_content(), span, false, report),
            Event::CData(text) => self.text(&text.xml10_content(), span, true, report),
            Event::GeneralRef(reference) => match resolve(&reference) {
                Some(c) => self.text(c.encode_utf8(&mut [0; 4]), span, false, report),
                None => refuse(report, span, syntax_message::xml_entity(&reference)),
            },
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(encoding)) if !encoding.eq_ignore_ascii_case("utf-8") => {
                    refuse(report, span, syntax_message::xml_encoding(&encoding))
                }
                _ => Some(()),
            },
            Event::DocType(_) => refuse(report, span, syntax_message::xml_dtd()),
            Event::PI(_) => refuse(report, span, syntax_message::xml_instruction()),
            Event::Comment(_) | Event::Eof => Some(()),
        }
    }

    fn start(&mut self, start: &BytesStart, span: Span, report: &mut Report) -> Option<()> {
        if self.open.len() == DEPTH_MAX {
            return refuse(report, span, message::too_deep(DEPTH_MAX));
        }
        if self.open.is_empty() && self.root.is_some() {
            return refuse(report, span, syntax_message::xml_second_root());
        }
        let name = start.name().as_ref().to_owned();
        let name_span = self.source.span(span.offset + 1, span.offset + 1 + name.len());
        let mut element = Element::new(name, name_span);
        // Attributes that come twice are found with the other keys that do.
        for attribute in start.attributes().with_checks(false) {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => return self.attribute_error(&error, span, report),
            };
            let key = attribute.key.as_ref().to_owned();
            // Key and value borrow from the tag: the distance is their place.
            let place = |part: &str| {
                let at = span.offset + 1 + (part.as_ptr() as usize).saturating_sub(start.as_ptr() as usize);
                self.source.span(at, at + part.len())
            };
            let (key_span, value_span) = (place(attribute.key.as_ref()), place(&attribute.value));
            match attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0) {
                Ok(text) => {
                    let value = Node::new(value_span, scalar::plain(&text));
                    element.attributes.push(Attribute { key, span: key_span, text: text.into_owned(), value });
                }
                Err(_) => return refuse(report, value_span, syntax_message::xml_entity(&attribute.value)),
            }
        }
        self.open.push(element);
        Some(())
    }

    fn attribute_error(&self, error: &AttrError, span: Span, report: &mut Report) -> Option<()> {
        let (AttrError::ExpectedEq(at)
        | AttrError::ExpectedValue(at)
        | AttrError::UnquotedValue(at)
        | AttrError::ExpectedQuote(at, _)
        | AttrError::Duplicated(at, _)) = error;
        let place = self.source.span(span.offset + 1 + at, span.offset + 2 + at);
        report.error(place, syntax_message::xml_attribute()).hide_secret_line();
        None
    }

    fn end(&mut self, report: &mut Report) -> Option<()> {
        let Some(element) = self.open.pop() else {
            report.error(self.source.span(0, 0), syntax_message::xml_syntax("an end tag without a start tag"));
            return None;
        };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Some(())
    }

    fn text(&mut self, text: &str, span: Span, cdata: bool, report: &mut Report) -> Option<()> {
        match self.open.last_mut() {
            Some(element) => element.add_text(text, span, cdata, self.source),
            None if text.trim().is_empty() => {}
            None => {
                let raw = self.source.slice(span);
                let blank = raw.len() - raw.trim_start().len();
                let span = self.source.span(span.offset + blank, span.offset + raw.trim_end().len());
                return refuse(report, span, syntax_message::xml_text_outside());
            }
        }
        Some(())
    }
}

fn refuse(report: &mut Report, span: Span, message: message::Message) -> Option<()> {
    report.error(span, message).hide_secret_line();
    None
}

fn resolve(reference: &BytesRef) -> Option<char> {
    match &**reference {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

fn xml_error(error: &Error) -> String {
    match error {
        Error::Syntax(error) => error.to_string(),
        Error::IllFormed(error) => error.to_string(),
        other => other.to_string(),
    }
}
