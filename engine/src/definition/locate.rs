//! From the path of a setting to its place in the file.

use super::node::{Entry, Node, Span, Value};

/// Where a path of settings leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// Where the value stands, or the longest part of the path that exists.
    pub span: Span,
    /// Where the last key of the path stands, if the last step was a key.
    pub key_span: Option<Span>,
    /// Whether all of the path exists.
    pub complete: bool,
}

impl Node {
    /// Follows a path such as `columns.phone.keep_last` or `tables[1]` as far as it exists.
    ///
    /// Map keys may hold dots, so the longest key that fits is taken.
    pub fn locate(&self, path: &str) -> Located {
        let (mut here, mut rest) = (self, path.trim_start_matches('.'));
        let mut located = Located { span: self.span, key_span: None, complete: false };
        while !rest.is_empty() {
            let next = match rest.strip_prefix('[') {
                Some(tail) => item_at(here, tail).map(|(item, tail)| (item, item.span, None, tail)),
                None => entry_at(here, rest),
            };
            let Some((value, span, key_span, tail)) = next else { return located };
            (here, rest) = (value, tail);
            located = Located { span, key_span, complete: false };
        }
        Located { complete: true, ..located }
    }

    /// The first key of that name anywhere below.
    pub fn find_key(&self, key: &str) -> Option<&Entry> {
        let below = || self.entries().iter().find_map(|entry| entry.value.find_key(key));
        self.entry(key).or_else(below).or_else(|| self.items().iter().find_map(|item| item.find_key(key)))
    }
}

type Step<'n, 'p> = (&'n Node, Span, Option<Span>, &'p str);

fn item_at<'n, 'p>(node: &'n Node, tail: &'p str) -> Option<(&'n Node, &'p str)> {
    let (index, tail) = tail.split_once(']')?;
    Some((node.items().get(index.parse::<usize>().ok()?)?, tail.strip_prefix('.').unwrap_or(tail)))
}

/// The span is that of the value where it is simple, else that of the key.
fn entry_at<'n, 'p>(node: &'n Node, path: &'p str) -> Option<Step<'n, 'p>> {
    let fits = |entry: &&Entry| {
        let tail = path.strip_prefix(entry.key.as_str()).filter(|_| !entry.key.is_empty());
        tail.is_some_and(|tail| tail.is_empty() || tail.starts_with(['.', '[']))
    };
    let entry = node.entries().iter().filter(fits).max_by_key(|entry| entry.key.len())?;
    let tail = &path[entry.key.len()..];
    let span = if matches!(entry.value.value, Value::Map(_) | Value::Null) { entry.key_span } else { entry.value.span };
    Some((&entry.value, span, Some(entry.key_span), tail.strip_prefix('.').unwrap_or(tail)))
}
