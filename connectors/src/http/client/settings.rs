//! How a service is spoken to: the settings that the source and the sink share.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use aqueduct_model::{ByteSize, Error, HumanDuration, Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

/// Highest accepted `requests_per_second`.
const REQUESTS_PER_SECOND_MAX: f64 = 100_000.0;
/// Lowest accepted `requests_per_second`: one in a day.
const REQUESTS_PER_SECOND_MIN: f64 = 1.0 / 86_400.0;
/// Highest accepted `max_response`: an answer is in memory, as bytes and as values.
const RESPONSE_BYTES_MAX: u64 = 512 << 20;
/// Headers that follow from the request, or that would change where it ends.
const OWN_HEADERS: &[&str] =
    &["host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te", "upgrade", "expect"];

/// How a service is spoken to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClientConfig {
    /// How long finding the address, connecting and TLS may take together.
    pub(crate) connect_timeout: HumanDuration,
    /// How long a request may take, from finding the address to the last byte of the answer.
    pub(crate) timeout: HumanDuration,
    /// Largest answer that is read.
    pub(crate) max_response: ByteSize,
    /// When a request is sent again.
    pub(crate) retry: RetryConfig,
    /// At most this many requests per second, evenly spread; `0.5` is one every two seconds. The first one waits, too, so
    /// that the rate holds through restarts, and for a task that is run once per row. Absent: no limit.
    pub(crate) requests_per_second: Option<f64>,
    /// How many redirects of a GET are followed. Each target is checked as the first address was; to another host no
    /// headers and no credentials are sent. Other requests are never redirected.
    pub(crate) max_redirects: usize,
    /// PEM file of the certificates that may sign the server's. Absent: the authorities that browsers trust.
    pub(crate) ca_file: Option<PathBuf>,
    /// Connect to private, loopback, link-local and other addresses that are not of the public Internet.
    pub(crate) allow_private: bool,
    /// Host names (or addresses) that may have any address, whatever `allow_private` says.
    pub(crate) allow_hosts: Vec<String>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            connect_timeout: HumanDuration::from_secs(10),
            timeout: HumanDuration::from_secs(30),
            max_response: ByteSize(64 << 20),
            retry: RetryConfig::default(),
            requests_per_second: None,
            max_redirects: 5,
            ca_file: None,
            allow_private: false,
            allow_hosts: Vec::new(),
        }
    }
}

/// When a request is sent again: after 408, 425, 429, 500, 502, 503, 504, and after a connection that broke or was silent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryConfig {
    /// How often a request is sent at most, the first time included; then the flow fails, and is restarted as its
    /// restart settings say.
    pub(crate) attempts: NonZeroU32,
    /// The wait behind the first failure; it doubles with each further one. Half of each wait is random.
    pub(crate) wait: HumanDuration,
    /// The longest wait. A service that asks for a longer one (`Retry-After`) fails the request.
    pub(crate) max_wait: HumanDuration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN),
            wait: HumanDuration::from_millis(200),
            max_wait: HumanDuration::from_secs(60),
        }
    }
}

/// How we say who we are.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub(crate) enum Auth {
    /// User and password (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that does not change (RFC 6750).
    Bearer {
        /// The token.
        token: Secret,
    },
    /// OAuth 2.0 client credentials (RFC 6749, section 4.4): a token is asked for, and renewed before it expires or when
    /// it is refused.
    #[serde(rename = "oauth2")]
    OAuth2 {
        /// Where tokens are given out.
        token_url: String,
        /// The client's name.
        client_id: String,
        /// The client's secret.
        client_secret: Secret,
        /// What the token is for, as the service names it.
        #[serde(default)]
        scope: Option<String>,
        /// Whom the token is for, where the service asks for that.
        #[serde(default)]
        audience: Option<String>,
    },
}

/// Reads an address of a service.
///
/// # Errors
/// `Config` for anything but a whole `http://` or `https://` address without user and password.
pub(crate) fn service_url(text: &str, setting: &str) -> Result<Url> {
    let complaint = |why: &str| {
        Error::config(format!("`{setting}` is no address of a service: {why}"))
            .with_setting(setting)
            .with_hint("write it whole, for example https://api.example.com/v1/orders")
    };
    let url = Url::parse(text).map_err(|error| complaint(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(complaint("it has to begin with https:// or http:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            complaint("user and password belong in `auth`").with_hint("move them to `auth: { type: basic, … }`")
        );
    }
    Ok(url)
}

/// Checks headers that a person wrote.
///
/// # Errors
/// `Config` for a name or a value that is none, and for headers that follow from the request or from `auth`.
pub(crate) fn check_headers(headers: &BTreeMap<String, Secret>, auth: Option<&Auth>) -> Result<()> {
    for (name, value) in headers {
        let setting = format!("headers.{name}");
        if auth.is_some() && name.eq_ignore_ascii_case("authorization") {
            return Err(Error::config("`auth` makes this header")
                .with_setting(setting)
                .with_hint("remove the header, or `auth`"));
        }
        if !is_token(name) || value.expose().bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
            return Err(Error::config("a header has characters that headers cannot have")
                .with_setting(setting)
                .with_hint("use letters, digits and `-` in the name, and no line breaks in the value"));
        }
        if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Error::config("this header follows from the request")
                .with_setting(setting)
                .with_hint("remove it"));
        }
    }
    Ok(())
}

/// A word of HTTP (RFC 9110, section 5.6.2): names of headers, and methods.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl ClientConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self, auth: Option<&Auth>) -> Result<()> {
        let rates = REQUESTS_PER_SECOND_MIN..=REQUESTS_PER_SECOND_MAX;
        if self.requests_per_second.is_some_and(|rate| !rates.contains(&rate)) {
            return Err(Error::config("a rate is at least one request in a day, and at most 100000 in a second")
                .with_setting("client.requests_per_second")
                .with_hint("write 0.5 for one request every two seconds, or leave it out"));
        }
        for (setting, limit) in [("client.timeout", self.timeout), ("client.connect_timeout", self.connect_timeout)] {
            if limit.0.is_zero() {
                return Err(Error::config("nothing is answered in no time")
                    .with_setting(setting)
                    .with_hint("give it seconds, such as 30s"));
            }
        }
        if self.max_response.0 == 0 || self.max_response.0 > RESPONSE_BYTES_MAX {
            return Err(Error::config("an answer has some bytes, and at most 512 MiB")
                .with_setting("client.max_response")
                .with_hint("write `max_response: 64MiB`, and ask for smaller pages"));
        }
        match auth {
            Some(Auth::OAuth2 { token_url, .. }) => service_url(token_url, "auth.token_url").map(drop),
            Some(Auth::Bearer { token }) if token.expose().bytes().any(|byte| !(b'!'..=b'~').contains(&byte)) => {
                Err(Error::config("the token has characters that tokens cannot have")
                    .with_setting("auth.token")
                    .with_hint("give the token alone, without `Bearer ` and without spaces"))
            }
            _ => Ok(()),
        }
    }
}
