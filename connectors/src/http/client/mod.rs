//! The client that `HttpInput` and `HttpWriter` share: `reqwest`, HTTP/1.1 over TCP or TLS (rustls on ring).
//!
//! * Names are resolved here, every address is checked, and the connection goes to a checked one: there is no second
//!   look-up in between that could answer otherwise. So is the target of every redirect, and that of the token service.
//! * What may pass (408, 425, 429, 5xx, broken and silent connections) is tried again, with waits that double and with
//!   `Retry-After`. What remains is an error; every other status is the caller's to judge.
//! * One request at a time; the connection is kept. Everything is bounded: times, sizes, attempts, redirects, the rate.
//! * Not here: HTTP/2, compression, proxies, cookies. The environment's proxy settings are not read: a proxy would resolve
//!   names by itself.

mod address;
mod pace;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod transport;

use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use tracing::warn;

pub(crate) use settings::{Auth, ClientConfig, check_headers, is_token, service_url};
pub(crate) use transport::{Answer, Call};

use pace::Pace;
use token::Authority;
use transport::Transport;

/// Speaks to one service.
pub(crate) struct Client {
    config: ClientConfig,
    transport: Transport,
    authority: Authority,
    pace: Pace,
}

/// True for a status that may be another one soon.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

impl Client {
    /// Reads `ca_file`; connects to nothing.
    ///
    /// # Errors
    /// `Config` when that holds no certificate.
    pub(crate) fn new(config: ClientConfig, auth: Option<Auth>) -> Result<Self> {
        Ok(Self {
            transport: Transport::new(config.clone())?,
            authority: Authority::new(auth),
            pace: Pace::new(config.requests_per_second),
            config,
        })
    }

    /// Sends a request until it is answered with a status that does not pass.
    ///
    /// # Errors
    /// `Throttled`, `Timeout` or `Unavailable` when the attempts are used up; `Auth` when no token is given out; `Config`
    /// for addresses, redirects and certificates that are not allowed.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer> {
        let mut is_renewed = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.pace.turn().await;
            let outcome = self.attempt(call).await;
            let (error, asked) = match outcome {
                Ok(answer) if answer.status == 401 && self.authority.can_renew() && !is_renewed => {
                    is_renewed = true;
                    attempt -= 1;
                    self.authority.forget().await;
                    continue;
                }
                Ok(answer) if is_passing(answer.status) => {
                    let asked =
                        answer.header("retry-after").and_then(|value| pace::retry_after(value, chrono::Utc::now()));
                    (status_error(call, answer.status), asked)
                }
                Ok(answer) => return Ok(answer),
                Err(error) if is_worth_a_try(error.kind()) => (error, None),
                Err(error) => return Err(error),
            };
            self.wait(attempt, error, asked).await?;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Answer> {
        let mut call = call.clone();
        if let Some(header) = self.authority.header(&self.transport).await? {
            call.headers.push(("Authorization".to_owned(), header));
        }
        self.transport.send(&call).await
    }

    /// Waits before the next attempt, or gives the error back when there is none.
    async fn wait(&self, attempt: u32, error: Error, asked: Option<Duration>) -> Result<()> {
        let retry = &self.config.retry;
        if attempt >= retry.attempts.get() {
            return Err(error);
        }
        if let Some(asked) = asked.filter(|asked| *asked > retry.max_wait.0) {
            let text = format!("the service asks for a pause of {} s", asked.as_secs());
            return Err(Error::new(ErrorKind::Throttled, text)
                .with_setting("client.retry.max_wait")
                .with_hint("lower `client.requests_per_second`, or raise `client: { retry: { max_wait: 10m } }`")
                .with_source(error));
        }
        let pause = pace::backoff(retry, attempt).max(asked.unwrap_or(Duration::ZERO));
        warn!(attempt, pause_ms = pause.as_millis() as u64, error = %error, "a request is sent again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

fn is_worth_a_try(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled)
}

/// What a status means that is not success.
pub(crate) fn status_error(call: &Call, status: u16) -> Error {
    let text = format!("{} answered {status}", call.shown());
    match status {
        401 | 403 => Error::new(ErrorKind::Auth, text)
            .with_setting("auth")
            .with_hint("give credentials that may do this: `auth: { type: bearer, token: \"${env:TOKEN}\" }`"),
        407 => Error::new(ErrorKind::Auth, text).with_setting("client").with_hint("proxies are not supported"),
        408 | 504 => Error::new(ErrorKind::Timeout, text),
        429 => Error::new(ErrorKind::Throttled, text)
            .with_setting("client.requests_per_second")
            .with_hint("set a rate that the service allows: `client: { requests_per_second: 5 }`"),
        425 | 500..=599 => Error::new(ErrorKind::Unavailable, text),
        _ => Error::config(text).with_setting("url").with_hint("correct the address, the method or the parameters"),
    }
}
