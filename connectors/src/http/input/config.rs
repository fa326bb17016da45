//! Settings of `HttpInput`.

use std::collections::BTreeMap;

use aqueduct_model::{Error, HumanDuration, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::client::{Auth, ClientConfig, check_headers, service_url};
use crate::text_files::TypedColumns;

/// What is asked for, where the rows are in the answers, and how it goes on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpInputConfig {
    /// The address, whole: `https://api.example.com/v1/orders`.
    pub(crate) url: String,
    /// How it is asked for.
    #[serde(default)]
    pub(crate) method: Method,
    /// Parameters of the query, beside those that the address has: texts, numbers, `true` or `false`.
    #[serde(default)]
    pub(crate) query: BTreeMap<String, Value>,
    /// Headers, such as `X-Api-Key`. Their values are never shown.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Secret>,
    /// What a POST carries, as JSON; the same for every page.
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// How we say who we are.
    #[serde(default)]
    pub(crate) auth: Option<Auth>,
    /// How answers are written.
    #[serde(default)]
    pub(crate) format: Format,
    /// Where the rows are in an answer: `data.items`. Empty: the answer is a list of rows, or one row.
    #[serde(default)]
    pub(crate) rows: String,
    /// The name of the rows in the stream.
    #[serde(default = "rows_name")]
    pub(crate) name: String,
    /// The columns with their types, in order; others are left out. A name may be a path: `customer.id`. Absent: they are
    /// inferred from the first page with rows, and a later row with a member that is not among them is refused.
    #[serde(default)]
    pub(crate) columns: TypedColumns,
    /// The columns that identify a row; a row without a value in one of them is refused.
    #[serde(default)]
    pub(crate) key: Vec<String>,
    /// How the next page is asked for. Absent: there is one page.
    #[serde(default)]
    pub(crate) paging: Option<Paging>,
    /// Most pages of one look; more are an error, as a service that never ends would be.
    #[serde(default = "max_pages")]
    pub(crate) max_pages: u64,
    /// Asks for what is new only, by a value that grows.
    #[serde(default)]
    pub(crate) incremental: Option<Incremental>,
    /// Goes on for ever: looks again this long after the last page. Absent: the last page is the end.
    #[serde(default)]
    pub(crate) poll: Option<HumanDuration>,
    /// How the service is spoken to.
    #[serde(default)]
    pub(crate) client: ClientConfig,
}

/// How something is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    /// With parameters in the address.
    #[default]
    Get,
    /// With a body.
    Post,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// One JSON value.
    #[default]
    Json,
    /// One JSON object per line, each a row.
    Jsonl,
}

/// How the next page is asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub(crate) enum Paging {
    /// By a number that rises by one. A page without rows is the last one.
    Page {
        /// The parameter with the number.
        #[serde(default = "page_param")]
        param: String,
        /// The first page's number.
        #[serde(default = "one")]
        first: u64,
        /// Where an answer says whether there are more pages (`true`, `false`): saves asking for an empty one.
        #[serde(default)]
        has_more: Option<String>,
    },
    /// By the number of rows that were read. A page without rows is the last one.
    Offset {
        /// The parameter with the number.
        #[serde(default = "offset_param")]
        param: String,
        /// Where an answer says whether there are more pages (`true`, `false`): saves asking for an empty one.
        #[serde(default)]
        has_more: Option<String>,
    },
    /// By a mark that the answer holds. An answer without one (or with `null` or an empty text) is the last.
    Cursor {
        /// The parameter with the mark.
        #[serde(default = "cursor_param")]
        param: String,
        /// Where the mark is in an answer: `meta.next_cursor`.
        path: String,
    },
    /// By the address of the next page: in the header `Link` (RFC 8288, `rel="next"`), or in the answer. It must be at the
    /// same host.
    Link {
        /// Where the address is in an answer: `links.next`. Absent: the header `Link`.
        #[serde(default)]
        path: Option<String>,
    },
}

/// How new rows are asked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Incremental {
    /// The parameter with the largest value seen: `updated_since`.
    pub(crate) param: String,
    /// Where a row has the value (a path as in `columns`): a number, or a time in ISO 8601. Every row must have one.
    pub(crate) column: String,
    /// The value of the first look. Absent: the first look asks without the parameter.
    #[serde(default)]
    pub(crate) from: Option<String>,
}

fn rows_name() -> String {
    "rows".to_owned()
}

fn max_pages() -> u64 {
    100_000
}

fn page_param() -> String {
    "page".to_owned()
}

fn offset_param() -> String {
    "offset".to_owned()
}

fn cursor_param() -> String {
    "cursor".to_owned()
}

fn one() -> u64 {
    1
}

/// How a parameter's value is written.
pub(super) fn param_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl HttpInputConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        service_url(&self.url, "url")?;
        check_headers(&self.headers, self.auth.as_ref())?;
        self.client.validate(self.auth.as_ref())?;
        if let Some((name, _)) = self.query.iter().find(|(_, value)| param_text(value).is_none()) {
            return Err(Error::config("a parameter is a text, a number, `true` or `false`")
                .with_setting(format!("query.{name}"))
                .with_hint("give it a value; where that is a row's, keep rows without one out by a Filter in front"));
        }
        if self.body.is_some() && self.method == Method::Get {
            return Err(Error::config("a GET carries nothing").with_setting("body").with_hint("write `method: POST`"));
        }
        if self.format == Format::Jsonl {
            self.validate_lines()?;
        }
        if let Some(name) = self.key.iter().find(|name| !self.columns.0.is_empty() && !self.has_column(name)) {
            return Err(Error::config(format!("the key column {name} is not among `columns`"))
                .with_setting("key")
                .with_hint(format!("add `{name}` with its type to `columns`")));
        }
        Ok(())
    }

    fn validate_lines(&self) -> Result<()> {
        let from_answer = match &self.paging {
            Some(Paging::Page { has_more, .. } | Paging::Offset { has_more, .. }) => has_more.is_some(),
            Some(Paging::Cursor { .. }) => true,
            Some(Paging::Link { path }) => path.is_some(),
            None => false,
        };
        let setting = if from_answer { "paging" } else { "rows" };
        if from_answer || !self.rows.is_empty() {
            return Err(Error::config("lines of JSON are rows and nothing else: no path leads into them")
                .with_setting(setting)
                .with_hint("use `format: json`, or page by number, by offset or by the header `Link`"));
        }
        Ok(())
    }

    fn has_column(&self, name: &str) -> bool {
        self.columns.0.iter().any(|(known, _)| known == name)
    }
}
