//! Settings of `HttpWriter`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use aqueduct_model::{Error, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::client::{Auth, ClientConfig, check_headers, is_token, service_url};
use super::template::{Template, has_columns};

/// Most rows of one request.
const BATCH_ROWS_MAX: usize = 10_000;

/// Which requests rows become.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpWriterConfig {
    /// The address, whole. `{column}` in its path or query is a value of the row, `{_table}` the name of
    /// its table, each encoded so that it stays what it is.
    pub(crate) url: String,
    /// The method.
    #[serde(default)]
    pub(crate) method: Method,
    /// Headers, such as `X-Api-Key`. Their values are never shown.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Secret>,
    /// How we say who we are.
    #[serde(default)]
    pub(crate) auth: Option<Auth>,
    /// What a request carries, as JSON: a text that is nothing but `{column}` becomes the row's value, `{column}` inside a
    /// longer text its text, and `"{rows}"` the list of the request's rows. Absent: the row, or the list of rows.
    #[serde(default)]
    pub(crate) body: Option<Value>,
    /// How many rows of a table one request carries at most. Above 1 it carries a list.
    #[serde(default = "one")]
    pub(crate) batch_rows: NonZeroUsize,
    /// How a list of rows is written, without `body`.
    #[serde(default)]
    pub(crate) format: Format,
    /// Updates and deletes are sent too: each row has this member, with `insert`, `update` or `delete`. Absent: an update or
    /// delete stops the flow.
    #[serde(default)]
    pub(crate) op_member: Option<String>,
    /// The header with the request's key, the same one whenever the request is sent again. Empty: none.
    #[serde(default = "idempotency_key")]
    pub(crate) idempotency_header: String,
    /// The service takes a request with a key that it knows for the same one, and does nothing: then every row takes effect
    /// once.
    #[serde(default)]
    pub(crate) service_honours_key: bool,
    /// What a status leads to, as `{ "409": ok, "422": drop, "4xx": fail }`; the whole number counts before its class. 2xx is
    /// `ok`; what may pass (408, 425, 429, 500, 502, 503, 504) is sent again first.
    #[serde(default)]
    pub(crate) on_status: BTreeMap<String, OnStatus>,
    /// How the service is spoken to.
    #[serde(default)]
    pub(crate) client: ClientConfig,
}

/// A method that changes something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    /// Adds.
    #[default]
    Post,
    /// Sets.
    Put,
    /// Changes in part.
    Patch,
    /// Removes; carries a body only if there is one in the settings.
    Delete,
}

/// How a list of rows is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// A list in JSON.
    #[default]
    Json,
    /// One JSON object per line.
    Jsonl,
}

/// What a status leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnStatus {
    /// The request is done.
    Ok,
    /// The request is given up, with a warning.
    Drop,
    /// The flow stops; the request is sent again when it is started again.
    Fail,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn idempotency_key() -> String {
    "Idempotency-Key".to_owned()
}

impl HttpWriterConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        // Stands for any value.
        service_url(&self.url.replace(['{', '}'], "x"), "url")?;
        self.validate_host()?;
        check_headers(&self.headers, self.auth.as_ref())?;
        if let Some(name) = self.headers.keys().find(|name| name.eq_ignore_ascii_case(&self.idempotency_header)) {
            return Err(Error::config("`idempotency_header` makes this header")
                .with_setting(format!("headers.{name}"))
                .with_hint("remove the header, or write `idempotency_header: \"\"` for none"));
        }
        self.client.validate(self.auth.as_ref())?;
        if !self.idempotency_header.is_empty() && !is_token(&self.idempotency_header) {
            return Err(Error::config("this is no name of a header")
                .with_setting("idempotency_header")
                .with_hint("write `Idempotency-Key`, or an empty text for none"));
        }
        if self.service_honours_key && self.idempotency_header.is_empty() {
            return Err(Error::config("there is no key that the service could honour")
                .with_setting("service_honours_key")
                .with_hint("remove it, or name the header: `idempotency_header: Idempotency-Key`"));
        }
        if self.batch_rows.get() > BATCH_ROWS_MAX {
            return Err(Error::config(format!("one request carries at most {BATCH_ROWS_MAX} rows"))
                .with_setting("batch_rows")
                .with_hint(format!("write `batch_rows: {BATCH_ROWS_MAX}`")));
        }
        let one_row =
            [("url", has_columns(&self.url)), ("body", self.body.as_ref().is_some_and(Template::names_columns))];
        if let Some((setting, _)) = one_row.iter().find(|(_, names)| *names && self.batch_rows.get() > 1) {
            return Err(Error::config("a request with many rows has no single value of a column")
                .with_setting(*setting)
                .with_hint("write `batch_rows: 1`, or `\"{rows}\"` for the list of rows"));
        }
        match self.on_status.keys().find(|status| !is_status(status)) {
            Some(status) => Err(Error::config(format!("`{status}` is no status"))
                .with_setting("on_status")
                .with_hint("write a number such as \"409\", or a class such as \"4xx\"")),
            None => Ok(()),
        }
    }

    /// Who is spoken to must not depend on a row.
    fn validate_host(&self) -> Result<()> {
        let behind = self.url.find("://").map_or(0, |at| at + 3);
        let host = self.url[behind..].split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('{') || self.url[..behind].contains('{') {
            return Err(Error::config("the host cannot come from a row").with_setting("url").with_hint(
                "write the host out: values of the row may stand behind it, as in https://api.example.com/orders/{id}",
            ));
        }
        Ok(())
    }

    /// What a status leads to.
    pub(super) fn on_status(&self, status: u16) -> OnStatus {
        let class = format!("{}xx", status / 100);
        let said = self.on_status.get(&status.to_string()).or_else(|| self.on_status.get(&class));
        said.copied().unwrap_or(if status / 100 == 2 { OnStatus::Ok } else { OnStatus::Fail })
    }
}

fn is_status(text: &str) -> bool {
    let bytes = text.as_bytes();
    let behind = bytes.get(1..).unwrap_or_default();
    bytes.len() == 3 && matches!(bytes[0], b'1'..=b'5') && (behind == b"xx" || behind.iter().all(u8::is_ascii_digit))
}
