//! Rows as test files write them: maps, or lists of which the first names the columns.

use aqueduct_engine::definition::{Message, Node, Report, Span, Value};

use super::cell::written;

/// A value and where it stands; `None` is NULL.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) text: Option<String>,
    /// What kind of value was written, for the inference of types.
    pub(super) kind: CellKind,
    pub(super) span: Span,
}

/// See [`Cell::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellKind {
    Null,
    Flag,
    Whole,
    Number,
    Text,
}

/// A row: the columns that it names, in the order of the file.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) cells: Vec<(String, Cell)>,
    pub(super) span: Span,
}

impl Row {
    pub(super) fn cell(&self, column: &str) -> Option<&Cell> {
        self.cells.iter().find(|(name, _)| name == column).map(|(_, cell)| cell)
    }
}

/// Reads rows; what is no row is reported and left out.
pub(super) fn rows(node: &Node, report: &mut Report) -> Vec<Row> {
    if !matches!(node.value, Value::List(_) | Value::Null) {
        report.error(node.span, not_rows(&node.describe()));
    }
    let items = node.items();
    let Some(first) = items.first() else { return Vec::new() };
    if !matches!(first.value, Value::List(_)) {
        return items.iter().filter_map(|item| row(item, report)).collect();
    }
    let names: Vec<Option<&str>> = first.items().iter().map(Node::text).collect();
    let Some(names) = names.into_iter().collect::<Option<Vec<&str>>>() else {
        let hint = "begin with the names: `- [id, amount]`, then `- [1, 10.5]`";
        report.error(first.span, message("the first list must name the columns", hint));
        return Vec::new();
    };
    items[1..].iter().filter_map(|item| listed(item, &names, report)).collect()
}

/// Reads one row that is written as a map.
pub(super) fn row(node: &Node, report: &mut Report) -> Option<Row> {
    if !matches!(node.value, Value::Map(_)) {
        report.error(node.span, not_rows(&node.describe()));
        return None;
    }
    let mut cells = Vec::new();
    for entry in node.entries() {
        cells.push((entry.key.clone(), cell(&entry.value, report)?));
    }
    Some(Row { cells, span: node.span })
}

fn listed(node: &Node, names: &[&str], report: &mut Report) -> Option<Row> {
    let items = node.items();
    if items.len() != names.len() || !matches!(node.value, Value::List(_)) {
        let cause = format!("the row has {} values for {} columns", items.len(), names.len());
        report.error(node.span, message(&cause, &format!("write a value for each of: {}", names.join(", "))));
        return None;
    }
    let mut cells = Vec::new();
    for (name, item) in names.iter().zip(items) {
        cells.push(((*name).to_owned(), cell(item, report)?));
    }
    Some(Row { cells, span: node.span })
}

fn cell(node: &Node, report: &mut Report) -> Option<Cell> {
    let kind = match &node.value {
        Value::Bool(_) => CellKind::Flag,
        Value::Int(_) => CellKind::Whole,
        Value::Float(_) => CellKind::Number,
        Value::String(_) => CellKind::Text,
        _ => CellKind::Null,
    };
    match written(node, report.source()) {
        Ok(text) => Some(Cell { text, kind, span: node.span }),
        Err(found) => {
            let hint = "write a number, a text, true, false or null; a document as text: '{\"a\": 1}'";
            report.error(node.span, message(&format!("a column holds one value, found {found}"), hint));
            None
        }
    }
}

fn not_rows(found: &str) -> Message {
    message(
        &format!("rows are a list of maps, found {found}"),
        "write `- { id: 1, amount: 10.5 }`, or lists of which the first names the columns",
    )
}

/// A message of its two texts.
pub(super) fn message(cause: &str, hint: &str) -> Message {
    Message { cause: cause.to_owned(), hint: hint.to_owned() }
}
