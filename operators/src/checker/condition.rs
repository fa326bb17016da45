//! What a row alone decides: rules as SQL conditions for breaking them.

use aqueduct_model::{Error, Result};
use regex::Regex;
use serde_json::Value;

use super::config::{Check, Freshness, Length, Range, Rule};
use crate::sql::Expression;

/// The SQL condition for breaking a rule, and what is told of a row that does.
pub(super) fn condition(rule: &Rule) -> Result<(String, String)> {
    if let Check::Expression(expression) = &rule.check {
        if rule.column.is_some() {
            return Err(Error::config("`expression` checks the row, not a column")
                .with_hint("remove `column`; the expression names its columns itself"));
        }
        // Alone first: its own mistakes are told of its own text.
        let text = Expression::parse(expression)?.text().to_owned();
        return Ok((format!("not (\n{text}\n)"), format!("`{text}` does not hold")));
    }
    let name = rule.column.as_deref().ok_or_else(no_column)?;
    let column = quoted(name);
    let as_text = format!("cast({column} as varchar)");
    Ok(match &rule.check {
        Check::NotNull => (format!("{column} is null"), format!("{name} is NULL")),
        Check::Range(range) => bounds(&column, name, range)?,
        Check::Set(values) if values.is_empty() => {
            return Err(Error::config("`set` is empty, so no value would be allowed")
                .with_hint("write the allowed values: `set: [new, paid]`"));
        }
        Check::Set(values) => {
            let list = values.iter().map(literal).collect::<Result<Vec<_>>>()?.join(", ");
            (format!("{column} not in ({list})"), format!("{name} is not one of the allowed values"))
        }
        Check::Regex(pattern) => {
            Regex::new(pattern).map_err(|error| {
                Error::config("the pattern is not a regular expression")
                    .with_source(error)
                    .with_hint("the syntax is that of https://docs.rs/regex")
            })?;
            let pattern = text_literal(pattern);
            (format!("not regexp_like({as_text}, {pattern})"), format!("{name} does not match its pattern"))
        }
        Check::Length(length) => characters(&as_text, name, *length)?,
        Check::Type(sql_type) => {
            // Alone first: what is not a type must not become another part of the condition.
            Expression::column(name).cast_to(sql_type)?;
            (
                format!("{column} is not null and try_cast({column} as {sql_type}) is null"),
                format!("{name} is not a {sql_type}"),
            )
        }
        Check::Freshness(freshness) => fresh(&column, name, freshness),
        Check::Expression(_) | Check::Unique | Check::Reference(_) | Check::RowCount(_) => {
            return Err(Error::bug("this rule is no condition on a column"));
        }
    })
}

fn bounds(column: &str, name: &str, range: &Range) -> Result<(String, String)> {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(match (&range.min, &range.max) {
        (Some(min), Some(max)) => (
            format!("{column} < {} or {column} > {}", literal(min)?, literal(max)?),
            format!("{name} is not between {} and {}", shown(min), shown(max)),
        ),
        (Some(min), None) => (format!("{column} < {}", literal(min)?), format!("{name} is below {}", shown(min))),
        (None, Some(max)) => (format!("{column} > {}", literal(max)?), format!("{name} is above {}", shown(max))),
        (None, None) => return Err(no_bound("range: { min: 0 }")),
    })
}

fn characters(as_text: &str, name: &str, length: Length) -> Result<(String, String)> {
    let count = format!("char_length({as_text})");
    Ok(match (length.min, length.max) {
        (Some(min), Some(max)) => {
            (format!("{count} < {min} or {count} > {max}"), format!("{name} does not have {min} to {max} characters"))
        }
        (Some(min), None) => (format!("{count} < {min}"), format!("{name} has fewer than {min} characters")),
        (None, Some(max)) => (format!("{count} > {max}"), format!("{name} has more than {max} characters")),
        (None, None) => return Err(no_bound("length: { max: 50 }")),
    })
}

fn fresh(column: &str, name: &str, freshness: &Freshness) -> (String, String) {
    let Freshness { within, against } = freshness;
    let ms = within.0.as_millis();
    (
        format!("{column} + interval '{ms} milliseconds' < {}", quoted(against)),
        format!("{name} is more than {within} older than {against}"),
    )
}

/// The mistake of a rule that says nothing of a column.
pub(super) fn no_column() -> Error {
    Error::config("the rule does not say which column it checks").with_hint("add for example `column: amount`")
}

/// The mistake of bounds that bound nothing.
pub(super) fn no_bound(example: &str) -> Error {
    Error::config("neither `min` nor `max` is given").with_hint(format!("write for example `{example}`"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value as SQL.
fn literal(value: &Value) -> Result<String> {
    match value {
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(text_literal(text)),
        _ => Err(Error::config("a value of a rule is not a text, a number, true or false")
            .with_hint("to allow NULL nothing is needed: it keeps every rule but `not_null`")),
    }
}
