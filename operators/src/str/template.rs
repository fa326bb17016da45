//! Texts that name columns in braces.

use aqueduct_model::{Error, Result};

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<C> {
    /// Stays as it is.
    Text(String),
    /// The value of a column.
    Column(C),
}

/// Reads `{first} {last}`; `{{` and `}}` are braces.
///
/// # Errors
/// `Config` for a brace without its other half, or without a name between them.
pub(super) fn parse(template: &str) -> Result<Vec<Part<String>>> {
    let mistake = |what: &str| {
        Error::config(format!("{what} in the template")).with_hint("write `{name}` for a column and `{{` for a brace")
    };
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' | '}' if rest.peek() == Some(&c) => {
                rest.next();
                text.push(c);
            }
            '{' => {
                let mut name = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some(c) if c != '{' => name.push(c),
                        _ => return Err(mistake("an opening brace without its closing one")),
                    }
                }
                if name.is_empty() {
                    return Err(mistake("a pair of braces without a name"));
                }
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Column(name));
            }
            '}' => return Err(mistake("a closing brace without its opening one")),
            other => text.push(other),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}
