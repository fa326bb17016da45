//! The tree that all three formats parse into: values that know where they stand in the file.

use std::collections::HashMap;

/// Where something stands in a flow file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes from the beginning of the text.
    pub offset: usize,
    /// Length in bytes; 0 where only the beginning is known.
    pub len: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where the value begins.
    pub span: Span,
    /// The value.
    pub value: Value,
}

/// A value of a flow file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `null`, `~`, or no value at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits 64 bits, signed or unsigned.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file; keys are unique.
    Map(Vec<Entry>),
    /// A value that could not be expanded, which was reported: it passes every check.
    Unknown,
}

/// One key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A value at a place.
    pub fn new(span: Span, value: Value) -> Self {
        Self { span, value }
    }

    /// The entries of a map; none for other values.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for other values.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The entry of that key, where this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of that key, unless it is missing or null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value).filter(|node| node.value != Value::Null)
    }

    /// The text, where this is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether anything in it could not be expanded.
    pub fn has_unknown(&self) -> bool {
        match &self.value {
            Value::Unknown => true,
            Value::List(items) => items.iter().any(Self::has_unknown),
            Value::Map(entries) => entries.iter().any(|entry| entry.value.has_unknown()),
            _ => false,
        }
    }

    /// The value in words, for messages: `the number 3`, `a list`.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null | Value::Unknown => "nothing".to_owned(),
            Value::Bool(flag) => format!("`{flag}`"),
            Value::Int(number) => format!("the number {number}"),
            Value::Float(number) => format!("the number {number}"),
            Value::String(text) => format!("the text {:?}", shortened(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// The value as JSON, for a plugin's settings.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null | Value::Unknown => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(signed), _) => signed.into(),
                (_, Ok(unsigned)) => unsigned.into(),
                _ => number.to_string().into(),
            },
            Value::Float(number) => (*number).into(),
            Value::String(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

/// Long text is cut in messages.
fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Collects the entries of one map and notices keys that come twice.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    entries: Vec<Entry>,
    first_lines: HashMap<String, usize>,
}

impl MapBuilder {
    /// Adds an entry; a key that is there already is dropped and the line of the first one returned.
    pub(super) fn insert(&mut self, key: String, key_span: Span, value: Node) -> Result<(), usize> {
        if let Some(first) = self.first_lines.get(&key) {
            return Err(*first);
        }
        self.first_lines.insert(key.clone(), key_span.line);
        self.entries.push(Entry { key, key_span, value });
        Ok(())
    }

    /// The finished map.
    pub(super) fn finish(self) -> Value {
        Value::Map(self.entries)
    }
}
