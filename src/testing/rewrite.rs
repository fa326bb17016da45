//! `--update`: what came, written into the expectations of a test file. Lines elsewhere stay as they are, comments too;
//! what stands inside a rewritten expectation is lost.

use aqueduct_engine::definition::{Entry, Format, Node, Source};

use super::case::Case;
use super::run::Outcome;
use super::suite::Suite;
use super::table_state::Tables;
use super::yaml_text;

/// A range of lines, from 0, that is replaced.
struct Edit {
    from: usize,
    to: usize,
    lines: Vec<String>,
}

/// The suite's file with the expectations of these tests as they came.
///
/// # Errors
/// Why the file cannot be rewritten.
pub(crate) fn rewrite(suite: &Suite, differing: &[(&Case, &Outcome)]) -> Result<String, String> {
    let source = suite.tests.source();
    if source.format() != Format::Yaml {
        return Err("only YAML is rewritten; change the expectations by hand".to_owned());
    }
    let mut edits = Vec::new();
    for (case, outcome) in differing {
        edits.extend(edits_of(case, outcome, source)?);
    }
    // From the back, so that the lines in front keep their numbers.
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.from));
    let mut lines: Vec<String> = source.text().lines().map(str::to_owned).collect();
    for Edit { from, to, lines: new } in edits {
        lines.splice(from..to, new);
    }
    let text = lines.join("\n") + "\n";
    match outcome_secret(differing, &text, source.text()) {
        true => Err("what came holds a secret, which is not written into files".to_owned()),
        false => Ok(text),
    }
}

/// Whether the new text would show a secret that the old one does not.
fn outcome_secret(differing: &[(&Case, &Outcome)], text: &str, old: &str) -> bool {
    let hidden = |text: &str| differing.iter().any(|(_, outcome)| outcome.secrets.redact(text) != text);
    hidden(text) && !hidden(old)
}

fn edits_of(case: &Case, outcome: &Outcome, source: &Source) -> Result<Vec<Edit>, String> {
    let indent = keys_indent(&case.node, source).ok_or_else(|| {
        format!("the test {:?} is written in one line; put its keys on lines of their own", case.name)
    })?;
    let tables: Vec<(&str, Tables)> =
        outcome.tables.iter().map(|came| (came.at.label.as_str(), Tables::of(&came.seen))).collect();
    let changes: Vec<(&str, &[_])> =
        outcome.changes.iter().map(|came| (came.at.label.as_str(), came.seen.as_slice())).collect();
    let mut blocks = Vec::new();
    if !tables.is_empty() {
        blocks.push(("expect", yaml_text::tables(indent, &tables)));
    }
    if !changes.is_empty() {
        blocks.push(("expect_changes", yaml_text::changes(indent, &changes)));
    }
    blocks.push(("bad_rows", yaml_text::bad_rows(indent, &outcome.refusals)));
    let mut edits = Vec::new();
    let mut behind = Vec::new();
    for (key, lines) in blocks {
        match case.node.entry(key) {
            Some(entry) => {
                let from = entry.key_span.line - 1;
                edits.push(Edit { from, to: end_of(entry, indent, source), lines });
            }
            None => behind.extend(lines),
        }
    }
    if let (Some(last), false) = (case.node.entries().iter().max_by_key(|entry| entry.key_span.line), behind.is_empty())
    {
        let end = end_of(last, indent, source);
        match edits.iter_mut().find(|edit| edit.to == end) {
            Some(edit) => edit.lines.extend(behind),
            None => edits.push(Edit { from: end, to: end, lines: behind }),
        }
    }
    Ok(edits)
}

/// How far the keys of a test are indented; `None` unless each begins its line.
fn keys_indent(node: &Node, source: &Source) -> Option<usize> {
    let mut indents = node.entries().iter().map(|entry| {
        let line = source.line(entry.key_span.line)?;
        let before: String = line.chars().take(entry.key_span.column - 1).collect();
        before.chars().all(|c| c == ' ' || c == '-').then(|| entry.key_span.column - 1)
    });
    let first = indents.next()??;
    indents.all(|indent| indent == Some(first)).then_some(first)
}

/// The line behind what belongs to a key: the first that is indented no further, but for the items of a list and without
/// blank lines and comments before it.
fn end_of(entry: &Entry, indent: usize, source: &Source) -> usize {
    let lines: Vec<&str> = source.text().lines().collect();
    let mut end = entry.key_span.line;
    for (number, line) in lines.iter().enumerate().skip(entry.key_span.line) {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let here = line.len() - trimmed.len();
        let is_item = here == indent && trimmed.starts_with("- ");
        if here <= indent && !is_item {
            break;
        }
        end = number + 1;
    }
    end
}
