//! Who we are: the header `Authorization`, and the tokens of OAuth 2.0.

use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded;

use super::settings::{Auth, service_url};
use super::transport::{Call, Transport};

/// A token is renewed this long before it expires, so that no request carries one that expires on its way.
const RENEWED_BEFORE: Duration = Duration::from_secs(30);
/// How long a token is used whose life is not told.
const LIFE_UNKNOWN: Duration = Duration::from_secs(300);

/// Gives requests their `Authorization`.
pub(super) struct Authority {
    auth: Option<Auth>,
    /// tokio's Mutex: it is held while a token is fetched, so that one is fetched at a time.
    token: Mutex<Option<Token>>,
}

struct Token {
    value: Secret,
    renew_at: Instant,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Authority {
    pub(super) fn new(auth: Option<Auth>) -> Self {
        Self { auth, token: Mutex::new(None) }
    }

    /// True where a refused request may go through with a new token.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self.auth, Some(Auth::OAuth2 { .. }))
    }

    /// Forgets the token: it was refused.
    pub(super) async fn forget(&self) {
        *self.token.lock().await = None;
    }

    /// The header's value, if there is to be one.
    ///
    /// # Errors
    /// `Auth` when no token is given out; those of the request for it.
    pub(super) async fn header(&self, transport: &Transport) -> Result<Option<String>> {
        Ok(Some(match &self.auth {
            None => return Ok(None),
            Some(Auth::Basic { user, password }) => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
            }
            Some(Auth::Bearer { token }) => format!("Bearer {}", token.expose()),
            Some(grant @ Auth::OAuth2 { .. }) => {
                let mut kept = self.token.lock().await;
                let token = match kept.take() {
                    Some(token) if Instant::now() < token.renew_at => token,
                    _ => fetch(transport, grant).await?,
                };
                let header = format!("Bearer {}", token.value.expose());
                *kept = Some(token);
                header
            }
        }))
    }
}

async fn fetch(transport: &Transport, grant: &Auth) -> Result<Token> {
    let Auth::OAuth2 { token_url, client_id, client_secret, scope, audience } = grant else {
        return Err(Error::bug("a token is fetched without a grant"));
    };
    // Section 2.3.1: both parts are encoded as in a form first.
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(client_secret.expose())));
    let call = Call {
        method: "POST".to_owned(),
        url: service_url(token_url, "auth.token_url")?,
        headers: vec![
            ("Authorization".to_owned(), format!("Basic {basic}")),
            ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ],
        body: form(scope.as_deref(), audience.as_deref()).into_bytes(),
    };
    let asked_at = Instant::now();
    let answer = transport.send(&call).await?;
    if super::is_passing(answer.status) {
        let text = format!("{} answered {}", call.shown(), answer.status);
        return Err(Error::new(ErrorKind::Unavailable, text).with_setting("auth.token_url"));
    }
    let refused = |why: String| {
        Error::new(ErrorKind::Auth, format!("{} gave no token: {why}", call.shown()))
            .with_setting("auth")
            .with_hint("check `token_url`, `client_id`, `client_secret` and `scope` with the service")
    };
    if answer.status != 200 {
        return Err(refused(format!("it answered {}", answer.status)));
    }
    let granted: Granted = serde_json::from_slice(&answer.body)
        .map_err(|_| refused("there is no `access_token` in its answer".to_owned()))?;
    if granted.access_token.expose().bytes().any(|byte| !(b'!'..=b'~').contains(&byte)) {
        return Err(refused("its token has characters that tokens cannot have".to_owned()));
    }
    let life = granted.expires_in.map_or(LIFE_UNKNOWN, Duration::from_secs);
    // A life shorter than the margin is used for half of it.
    let used = life.checked_sub(RENEWED_BEFORE).filter(|used| *used > life / 2).unwrap_or(life / 2);
    let renew_at = asked_at.checked_add(used).unwrap_or(asked_at + LIFE_UNKNOWN);
    Ok(Token { value: granted.access_token, renew_at })
}

/// What is asked for (section 4.4.2).
fn form(scope: Option<&str>, audience: Option<&str>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    for (name, value) in [("scope", scope), ("audience", audience)] {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    form.finish()
}
