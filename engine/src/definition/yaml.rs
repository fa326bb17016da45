//! YAML: the events of the parser become the tree of values.
//!
//! One document; no anchors, aliases, tags, directives or merge keys: a flow file is read by people, and an alias can
//! make ten lines into gigabytes.

use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span as ParserSpan, options};

use super::message;
use super::node::{MapBuilder, Node, Span, Value};
use super::report::Report;
use super::scalar;
use super::source::Source;
use super::syntax_message;

/// Deeper nesting is refused.
pub(super) const DEPTH_MAX: usize = 64;

/// The key by which YAML 1.1 merged maps.
const MERGE_KEY: &str = "<<";

/// Reads the tree; `None` after a mistake that makes the rest unreadable. An empty file is null.
pub(super) fn parse(source: &Source, report: &mut Report) -> Option<Node> {
    let options = options! {
        disallow_directives: true,
        emit_comments: false,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut tree = Tree { source, open: Vec::new(), root: None };
    for event in Parser::new_from_str_with_options(source.text(), options) {
        match event {
            Ok((event, span)) => tree.event(event, span, report)?,
            Err(error) => {
                scan_error(source, &error, report);
                return None;
            }
        }
    }
    Some(tree.root.unwrap_or_else(|| Node::new(source.span(0, 0), Value::Null)))
}

/// The collections that are being read, outermost first.
struct Tree<'a> {
    source: &'a Source,
    open: Vec<(Span, Open)>,
    root: Option<Node>,
}

enum Open {
    List(Vec<Node>),
    Map { map: MapBuilder, key: Option<(String, Span)> },
}

impl Tree<'_> {
    fn event(&mut self, event: Event, at: ParserSpan, report: &mut Report) -> Option<()> {
        let span = self.span(at);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                report.error(span, syntax_message::second_document());
                None
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                report.error(span, syntax_message::yaml_alias());
                None
            }
            Event::Anchor(..) => {
                report.error(span, syntax_message::yaml_anchor());
                None
            }
            Event::Scalar(text, style, _, tag) => {
                if tag.is_some() {
                    report.error(at.tag_span().map_or(span, |tag| self.span(tag)), syntax_message::yaml_tag());
                }
                if self.take_key(&text, span, report) {
                    return Some(());
                }
                let value = if style == ScalarStyle::Plain { scalar::plain(&text) } else { Value::String(text.into()) };
                self.value(Node::new(span, value), report)
            }
            Event::SequenceStart(_, _, tag) | Event::MappingStart(_, _, tag) if tag.is_some() => {
                report.error(at.tag_span().map_or(span, |tag| self.span(tag)), syntax_message::yaml_tag());
                None
            }
            Event::SequenceStart(..) => self.push(span, Open::List(Vec::new()), report),
            Event::MappingStart(..) => self.push(span, Open::Map { map: MapBuilder::default(), key: None }, report),
            Event::SequenceEnd | Event::MappingEnd => {
                let (span, open) = self.open.pop()?;
                let value = match open {
                    Open::List(items) => Value::List(items),
                    Open::Map { map, .. } => map.finish(),
                };
                self.value(Node::new(span, value), report)
            }
            _ => Some(()),
        }
    }

    fn span(&self, at: ParserSpan) -> Span {
        let range = at.byte_range().unwrap_or_default();
        self.source.span(range.start, range.end)
    }

    /// In a map that waits for a key, the scalar is the key.
    fn take_key(&mut self, text: &str, span: Span, report: &mut Report) -> bool {
        let Some((_, Open::Map { key: key @ None, .. })) = self.open.last_mut() else { return false };
        if text == MERGE_KEY {
            report.error(span, syntax_message::yaml_merge_key());
        }
        *key = Some((text.to_owned(), span));
        true
    }

    fn push(&mut self, span: Span, open: Open, report: &mut Report) -> Option<()> {
        if let Some((_, Open::Map { key: None, .. })) = self.open.last() {
            report.error(span, syntax_message::key_not_text());
            return None;
        }
        if self.open.len() == DEPTH_MAX {
            report.error(span, message::too_deep(DEPTH_MAX));
            return None;
        }
        self.open.push((span, open));
        Some(())
    }

    fn value(&mut self, node: Node, report: &mut Report) -> Option<()> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some((_, Open::List(items))) => items.push(node),
            Some((_, Open::Map { map, key })) => match key.take() {
                // It was refused when it was read.
                Some((key, _)) if key == MERGE_KEY => {}
                Some((key, key_span)) => {
                    if let Err(first) = map.insert(key.clone(), key_span, node) {
                        report.error(key_span, message::duplicate_key(&key, first));
                    }
                }
                None => {
                    report.error(node.span, syntax_message::key_not_text());
                    return None;
                }
            },
        }
        Some(())
    }
}

fn scan_error(source: &Source, error: &ScanError, report: &mut Report) {
    let at = error.marker().byte_offset().unwrap_or_else(|| offset_of_char(source.text(), error.marker().index()));
    let span = source.span(before_tabs(source.text(), at, error), at + 1);
    let line = source.line(span.line).unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::RecursionLimitExceeded => message::too_deep(DEPTH_MAX),
        ErrorKind::DirectiveDisallowed => syntax_message::yaml_directive(),
        kind => syntax_message::yaml_syntax(&kind.to_string(), line),
    };
    report.error(span, message).hide_secret_line();
}

/// The parser notices a tab when it stands behind it.
fn before_tabs(text: &str, at: usize, error: &ScanError) -> usize {
    let before = text.get(..at).unwrap_or_default();
    match error.kind().to_string().contains("tab") {
        true => before.trim_end_matches('\t').len(),
        false => at,
    }
}

fn offset_of_char(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(at, _)| at)
}
