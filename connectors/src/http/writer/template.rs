//! Values of rows in addresses and bodies: `{column}`.

use aqueduct_model::{Error, ErrorKind, Result};
use serde_json::Value;
use url::form_urlencoded;

use super::super::json::Json;

/// What stands for the list of rows.
const ROWS: &str = "{rows}";
/// What stands for the name of the rows' table in an address.
const TABLE: &str = "{_table}";

/// A part of a text.
enum Part<'t> {
    Plain(&'t str),
    Column(&'t str),
}

/// The parts of a text; braces without a partner are plain.
fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((begin, end)) = rest.find('{').and_then(|begin| Some((begin, begin + rest[begin..].find('}')?))) {
        parts.extend([Part::Plain(&rest[..begin]), Part::Column(&rest[begin + 1..end])]);
        rest = &rest[end + 1..];
    }
    parts.push(Part::Plain(rest));
    parts
}

/// True when a text names a column.
pub(super) fn has_columns(text: &str) -> bool {
    let text = &text.replace(TABLE, "");
    text != ROWS && parts(text).iter().any(|part| matches!(part, Part::Column(_)))
}

/// What a body looks like.
pub(super) struct Template<'t>(pub &'t Value);

impl Template<'_> {
    /// True when a text in it names a column.
    pub(super) fn names_columns(value: &Value) -> bool {
        match value {
            Value::String(text) => has_columns(text),
            Value::Array(values) => values.iter().any(Self::names_columns),
            Value::Object(members) => members.values().any(Self::names_columns),
            _ => false,
        }
    }

    /// The body for some rows; columns are those of the first.
    ///
    /// # Errors
    /// `Config` for a column that the row does not have.
    pub(super) fn fill(&self, rows: &[Json]) -> Result<Json> {
        fill(self.0, rows)
    }
}

fn fill(value: &Value, rows: &[Json]) -> Result<Json> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Number(number) => Json::Number(number.to_string()),
        Value::String(text) if text == ROWS => Json::List(rows.to_vec()),
        Value::String(text) => match parts(text).as_slice() {
            [Part::Plain(""), Part::Column(name), Part::Plain("")] => column(rows, name, "body")?.clone(),
            parts => Json::Text(joined(parts, rows, "body", |text| text)?),
        },
        Value::Array(values) => Json::List(values.iter().map(|value| fill(value, rows)).collect::<Result<_>>()?),
        Value::Object(members) => {
            let filled = members.iter().map(|(name, value)| Ok((name.clone(), fill(value, rows)?)));
            Json::Object(filled.collect::<Result<_>>()?)
        }
    })
}

/// The address for rows of a table. Values are encoded whole: a slash or a question mark in one changes nothing.
///
/// # Errors
/// `Config` for a column that the row does not have; `Data` for a value that would be no part of a path.
pub(super) fn fill_url(text: &str, table: &str, rows: &[Json]) -> Result<String> {
    let encode =
        |text: String| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    let part = |name: &str, text: Option<&str>| {
        // `.` and `..` would be taken for steps, nothing for another address.
        if text.is_some_and(|text| !matches!(text, "" | "." | "..")) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Data, format!("the value of {name} is no part of an address"))
            .with_setting("url")
            .with_hint("filter such rows out in front, or put the value into `body`"))
    };
    let mut address = text.to_owned();
    if text.contains(TABLE) {
        part("_table", Some(table))?;
        address = text.replace(TABLE, &encode(table.to_owned()));
    }
    let parts = parts(&address);
    for found in &parts {
        if let Part::Column(name) = found {
            part(name, column(rows, name, "url")?.scalar())?;
        }
    }
    joined(&parts, rows, "url", encode)
}

fn joined(parts: &[Part<'_>], rows: &[Json], setting: &str, encode: impl Fn(String) -> String) -> Result<String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Plain(plain) => text.push_str(plain),
            Part::Column(name) => match column(rows, name, setting)? {
                Json::Null => {}
                value => text.push_str(&encode(value.scalar().map_or_else(|| value.to_text(), str::to_owned))),
            },
        }
    }
    Ok(text)
}

fn column<'r>(rows: &'r [Json], name: &str, setting: &str) -> Result<&'r Json> {
    let row = rows.first().ok_or_else(|| Error::bug("a request without rows"))?;
    row.member(name).ok_or_else(|| {
        let names: Vec<&str> = match row {
            Json::Object(members) => members.iter().map(|(name, _)| name.as_str()).collect(),
            _ => Vec::new(),
        };
        Error::config(format!("the row has no value of a column `{name}`"))
            .with_setting(setting)
            .with_hint(format!("it has: {}", names.join(", ")))
    })
}
