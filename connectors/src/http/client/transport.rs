//! One attempt at one request: the connection, its time limits, redirects.

use std::io;
use std::sync::{Mutex, PoisonError};

use aqueduct_model::{Error, ErrorKind, Result};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Origin, Url};

use super::connect::{connect, tls};
use super::settings::ClientConfig;
use super::wire::{Answer, Line};

/// A request as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// The method: upper case.
    pub(crate) method: String,
    /// Where to.
    pub(crate) url: Url,
    /// Headers besides those that follow from the request; values are never shown.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// Method, host and path: what may be shown. A query may hold keys.
    pub(crate) fn shown(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let (scheme, host) = (self.url.scheme(), self.url.host_str().unwrap_or_default());
        format!("{} {scheme}://{host}{port}{}", self.method, self.url.path())
    }

    fn head(&self) -> Vec<u8> {
        let target = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &self.url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut head = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n", self.method);
        let has = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !has("user-agent") {
            head.push_str(concat!("User-Agent: aqueduct/", env!("CARGO_PKG_VERSION"), "\r\n"));
        }
        if !has("accept") {
            head.push_str("Accept: application/json\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Sends requests, one at a time over one connection that is kept while the service keeps it.
pub(super) struct Transport {
    config: ClientConfig,
    tls: TlsConnector,
    /// A std Mutex: the connection is taken out of it before anything is awaited.
    idle: Mutex<Option<(Origin, Line)>>,
}

impl Transport {
    pub(super) fn new(config: ClientConfig) -> Result<Self> {
        Ok(Self { tls: tls(&config)?, config, idle: Mutex::new(None) })
    }

    /// Sends the request and follows the redirects of a GET.
    ///
    /// # Errors
    /// `Timeout` and `Unavailable` for what may be tried again; others when trying again is of no use.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer> {
        let mut call = call.clone();
        for _ in 0..=self.config.max_redirects {
            let answer = self.exchange(&call).await?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            call = redirected(&call, &answer)?;
        }
        Err(Error::config(format!("{} leads to more than {} redirects", call.shown(), self.config.max_redirects))
            .with_setting("url")
            .with_hint("give the address that the service redirects to, or raise `client.max_redirects`"))
    }

    async fn exchange(&self, call: &Call) -> Result<Answer> {
        let origin = call.url.origin();
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((_, line)) = kept.filter(|(known, _)| *known == origin) {
            match self.over(line, call, &origin).await {
                // The service closed the connection while it was idle: that is no failure of the request.
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                outcome => return outcome,
            }
        }
        let silent = || Error::new(ErrorKind::Timeout, format!("{}: no connection in time", call.shown()));
        let connected = timeout(self.config.connect_timeout.0, connect(&call.url, &self.config, &self.tls)).await;
        let line = connected.map_err(|_| silent().with_setting("client.connect_timeout"))??;
        self.over(line, call, &origin).await
    }

    async fn over(&self, mut line: Line, call: &Call, origin: &Origin) -> Result<Answer> {
        let bytes_max = usize::try_from(self.config.max_response.0).unwrap_or(usize::MAX);
        let head = call.head();
        let exchange = line.exchange(&head, &call.body, call.method == "HEAD", bytes_max);
        let Ok(outcome) = timeout(self.config.timeout.0, exchange).await else {
            let text = format!("{}: no answer within {}", call.shown(), self.config.timeout);
            return Err(Error::new(ErrorKind::Timeout, text).with_setting("client.timeout"));
        };
        let exchanged = outcome.map_err(|error| broken(call, error))?;
        if exchanged.is_reusable {
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((origin.clone(), line));
        }
        Ok(exchanged.answer)
    }
}

fn broken(call: &Call, error: io::Error) -> Error {
    let text = format!("{}: the answer could not be read", call.shown());
    match error.kind() {
        io::ErrorKind::FileTooLarge => Error::config(text)
            .with_setting("client.max_response")
            .with_hint("ask for smaller pages, or raise `client: { max_response: 256MiB }`")
            .with_source(error),
        _ => Error::new(ErrorKind::Unavailable, text).with_source(error),
    }
}

/// What a redirect asks for instead.
fn redirected(call: &Call, answer: &Answer) -> Result<Call> {
    let refused = |why: &str| {
        Error::config(format!("{} is redirected {why}", call.shown()))
            .with_setting("url")
            .with_hint("give the address that answers itself")
    };
    if !matches!(call.method.as_str(), "GET" | "HEAD") {
        return Err(refused("and only a GET may be"));
    }
    let target = answer.header("location").and_then(|location| call.url.join(location).ok());
    let url = target.ok_or_else(|| refused("to nowhere"))?;
    if !matches!(url.scheme(), "http" | "https") || (call.url.scheme() == "https" && url.scheme() == "http") {
        return Err(refused("to an address that is not protected"));
    }
    // Whoever answers there is not the one whom the headers (and their secrets) were meant for.
    let headers = if url.origin() == call.url.origin() { call.headers.clone() } else { Vec::new() };
    Ok(Call { url, headers, ..call.clone() })
}
