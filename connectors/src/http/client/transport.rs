//! Requests and their answers: what `reqwest` does of them, and what is ours around it.

use std::{error, io};

use aqueduct_model::{Error, ErrorKind, Result};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Request, redirect, retry};
use tokio_rustls::rustls;
use url::Url;

use super::address::{Guard, NotPublic};
use super::settings::ClientConfig;
use super::tls;

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

/// What a service answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers as they came.
    pub(crate) headers: HeaderMap,
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

    fn to_request(&self) -> Result<Request> {
        let unusable = || Error::config("a header or the method has characters that HTTP cannot have");
        let method = Method::from_bytes(self.method.as_bytes()).map_err(|_| unusable().with_setting("method"))?;
        let mut request = Request::new(method, self.url.clone());
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable().with_setting("headers"))?;
            let mut value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| unusable().with_setting(format!("headers.{name}")))?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        if !self.body.is_empty() {
            *request.body_mut() = Some(self.body.clone().into());
        }
        Ok(request)
    }
}

impl Answer {
    /// The first header of that name.
    pub(crate) fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        self.headers.get(name.as_ref())?.to_str().ok()
    }
}

/// Sends requests to checked addresses.
pub(super) struct Transport {
    config: ClientConfig,
    guard: Guard,
    http: reqwest::Client,
}

impl Transport {
    pub(super) fn new(config: ClientConfig) -> Result<Self> {
        let guard = Guard::new(&config);
        let defaults = [
            (ACCEPT, HeaderValue::from_static("application/json")),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        ];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(config.ca_file.as_deref())?)
            .dns_resolver(guard.clone())
            // A proxy would resolve names by itself.
            .no_proxy()
            // Both are done here: each target is checked, and each attempt counts.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(config.connect_timeout.0)
            .timeout(config.timeout.0)
            // One request at a time.
            .pool_max_idle_per_host(1)
            .user_agent(concat!("aqueduct/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter(defaults))
            .build()
            .map_err(|error| Error::bug("the HTTP client cannot be built").with_source(error))?;
        Ok(Self { config, guard, http })
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
        self.guard.check(&call.url).map_err(|refused| refused.to_error())?;
        let failed = |error| self.failed(call, error);
        let mut response = self.http.execute(call.to_request()?).await.map_err(failed)?;
        let bytes_max = self.config.max_response.0;
        if response.content_length().is_some_and(|length| length > bytes_max) {
            return Err(too_large(call));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if (body.len() + chunk.len()) as u64 > bytes_max {
                return Err(too_large(call));
            }
            body.extend_from_slice(&chunk);
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(Answer { status: response.status().as_u16(), headers, body })
    }

    fn failed(&self, call: &Call, error: reqwest::Error) -> Error {
        if let Some(refused) = cause::<NotPublic>(&error) {
            return refused.to_error();
        }
        // The query may hold keys.
        let (is_connect, error) = (error.is_connect(), error.without_url());
        let host = call.url.host_str().unwrap_or_default();
        if error.is_timeout() {
            let (setting, limit) = match is_connect {
                true => ("client.connect_timeout", self.config.connect_timeout),
                false => ("client.timeout", self.config.timeout),
            };
            let text = format!("{}: no answer within {limit}", call.shown());
            return Error::new(ErrorKind::Timeout, text).with_setting(setting).with_source(error);
        }
        // What rustls itself refuses; a connection that breaks is an error of the network.
        if is_connect && cause::<rustls::Error>(&error).is_some() {
            return Error::config(format!("{host} cannot be trusted, or speaks no TLS 1.2 or 1.3"))
                .with_setting("client.ca_file")
                .with_hint("give the certificate of the authority that signed the server's as `client: { ca_file: … }`")
                .with_source(error);
        }
        let text = match is_connect {
            true => format!("cannot connect to {host}"),
            false => format!("{}: the answer could not be read", call.shown()),
        };
        Error::new(ErrorKind::Unavailable, text).with_source(error)
    }
}

/// The cause of that type behind an error. An `io::Error` leaves out what it wraps when it is asked for its source.
fn cause<'a, T: error::Error + 'static>(error: &'a (dyn error::Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

fn too_large(call: &Call) -> Error {
    Error::config(format!("{}: the answer is larger than `client.max_response`", call.shown()))
        .with_setting("client.max_response")
        .with_hint("ask for smaller pages, or raise `client: { max_response: 256MiB }`")
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
    let target = answer.header(LOCATION).and_then(|location| call.url.join(location).ok());
    let url = target.ok_or_else(|| refused("to nowhere"))?;
    if !matches!(url.scheme(), "http" | "https") || (call.url.scheme() == "https" && url.scheme() == "http") {
        return Err(refused("to an address that is not protected"));
    }
    // Whoever answers there is not the one whom the headers (and their secrets) were meant for.
    let headers = if url.origin() == call.url.origin() { call.headers.clone() } else { Vec::new() };
    Ok(Call { url, headers, ..call.clone() })
}
