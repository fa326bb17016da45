//! Expectations as YAML, from what came.

use arrow::datatypes::DataType;

use super::bad_row::Refusal;
use super::recorder::Seen;
use super::sequence::{Happened, Values, happened};
use super::table_state::{Tables, Text};

/// Words that YAML reads as something else than text.
const WORDS: [&str; 6] = ["null", "true", "false", "yes", "no", "~"];

/// A block: its lines, each already indented.
pub(super) fn tables(indent: usize, places: &[(&str, Tables)]) -> Vec<String> {
    let pad = " ".repeat(indent);
    let mut lines = vec![format!("{pad}expect:")];
    for (label, tables) in places {
        let filled: Vec<_> = tables.0.iter().filter(|(_, table)| !table.rows().is_empty()).collect();
        match filled[..] {
            [] => lines.push(format!("{pad}  {label}: []")),
            [(_, table)] => {
                lines.push(format!("{pad}  {label}:"));
                lines.extend(table_rows(indent + 4, table));
            }
            _ => {
                lines.push(format!("{pad}  {label}:"));
                for (name, table) in filled {
                    lines.push(format!("{pad}    {}:", scalar(name)));
                    lines.extend(table_rows(indent + 6, table));
                }
            }
        }
    }
    lines
}

fn table_rows(indent: usize, table: &super::table_state::Table) -> Vec<String> {
    let pad = " ".repeat(indent);
    let columns = table.columns();
    let pairs = |row: Vec<Text>| {
        let cell = |(name, text): (&&str, &Text)| pair(name, text, table.data_type(name));
        columns.iter().zip(&row).map(cell).collect::<Vec<_>>().join(", ")
    };
    table.rows().into_iter().map(|row| format!("{pad}- {{ {} }}", pairs(row))).collect()
}

/// `expect_changes`.
pub(super) fn changes(indent: usize, places: &[(&str, &[Seen])]) -> Vec<String> {
    let pad = " ".repeat(indent);
    let mut lines = vec![format!("{pad}expect_changes:")];
    for (label, seen) in places {
        let changes = happened(seen);
        if changes.is_empty() {
            lines.push(format!("{pad}  {label}: []"));
            continue;
        }
        lines.push(format!("{pad}  {label}:"));
        for change in changes {
            let text = match &change {
                Happened::Insert(row) => format!("insert: {}", map(row)),
                Happened::Update(before, after) => {
                    format!("update: {{ before: {}, after: {} }}", map(before), map(after))
                }
                Happened::Upsert(row) => format!("upsert: {}", map(row)),
                Happened::Delete(row) => format!("delete: {}", map(row)),
                Happened::Ddl(kind) => format!("ddl: {kind}"),
            };
            lines.push(format!("{pad}    - {text}"));
        }
    }
    lines
}

/// `bad_rows`.
pub(super) fn bad_rows(indent: usize, refusals: &[Refusal]) -> Vec<String> {
    let pad = " ".repeat(indent);
    if refusals.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("{pad}bad_rows:")];
    for Refusal { task, row } in refusals {
        let cell = |(name, value): (&String, &serde_json::Value)| match value {
            serde_json::Value::Null => format!("{}: null", scalar(name)),
            serde_json::Value::String(text) => format!("{}: {}", scalar(name), scalar(text)),
            other => format!("{}: {}", scalar(name), scalar(&other.to_string())),
        };
        let cells: Vec<String> = row.row.as_object().into_iter().flatten().map(cell).collect();
        let reason = scalar(&row.reasons.join("; "));
        let row = if cells.is_empty() { String::new() } else { format!(", row: {{ {} }}", cells.join(", ")) };
        lines.push(format!("{pad}  - {{ task: {task}, reason: {reason}{row} }}"));
    }
    lines
}

fn map(row: &Values) -> String {
    let cells = row.0.iter().map(|(name, data_type, text)| pair(name, text, Some(data_type)));
    format!("{{ {} }}", cells.collect::<Vec<_>>().join(", "))
}

fn pair(name: &str, text: &Text, data_type: Option<&DataType>) -> String {
    let is_plain = data_type.is_some_and(|data_type| data_type.is_numeric() || *data_type == DataType::Boolean);
    let value = match text {
        None => "null".to_owned(),
        Some(text) if is_plain && text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '-') => {
            text.clone()
        }
        Some(text) => scalar(text),
    };
    format!("{}: {value}", scalar(name))
}

/// A text in quotes unless YAML takes it for the same text without.
fn scalar(text: &str) -> String {
    let first = text.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/' | '@' | '*');
    let is_word = WORDS.contains(&text.to_lowercase().as_str());
    match first && text.chars().all(plain) && !is_word && !text.ends_with(' ') {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}
