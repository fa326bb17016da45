//! Where a server is and who is asking, from one URL.

use std::borrow::Cow;
use std::fmt;

use aqueduct_model::{Error, Result, Secret};

use super::tls::Tls;

/// The port of a URL that names none.
const DEFAULT_PORT: u16 = 3306;

/// A server, an account and how to encrypt. `Debug` shows no password.
#[derive(Clone)]
pub(crate) struct Address {
    /// Host name or IP address (without brackets).
    pub host: String,
    pub port: u16,
    /// The server's Unix socket, instead of host and port.
    pub socket: Option<String>,
    pub user: String,
    /// Empty for none.
    pub password: Secret,
    /// The default database.
    pub database: Option<String>,
    pub tls: Tls,
}

impl Address {
    /// Reads `mysql://user:password@host:port/database?socket=/path` (`mariadb://` is the same).
    ///
    /// The password ends at the last `@`, so that `@`, `:`, `/`, `#` and `?` may stand in it as they are; `%` followed
    /// by two hexadecimal digits is an escape everywhere, any other `%` is itself.
    ///
    /// # Errors
    /// `Config` for the setting `url`; the text never shows the URL.
    pub(crate) fn parse(url: &Secret, tls: Tls) -> Result<Self> {
        let rest = ["mysql://", "mariadb://"].iter().find_map(|scheme| url.expose().strip_prefix(scheme));
        let rest = rest.ok_or_else(|| wrong("it does not begin with mysql:// or mariadb://"))?;
        let (account, place) = match rest.rsplit_once('@') {
            Some((account, place)) => (Some(account), place),
            None => (None, rest),
        };
        let (user, password) = match account {
            Some(account) => account.split_once(':').unwrap_or((account, "")),
            None => ("", ""),
        };
        if user.is_empty() {
            return Err(wrong("it names no user"));
        }
        let (place, query) = place.split_once('?').unwrap_or((place, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = host_and_port(authority)?;
        let mut socket = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("socket", path)) => socket = Some(decoded(path)?),
                _ => {
                    return Err(wrong("the only parameter it may have is `socket`; the rest are settings of the task"));
                }
            }
        }
        Ok(Self {
            host: decoded(host)?,
            port,
            socket,
            user: decoded(user)?,
            password: Secret::new(decoded(password)?),
            database: Some(decoded(database)?).filter(|name| !name.is_empty()),
            tls,
        })
    }

    /// The server as people write it.
    pub(crate) fn place(&self) -> Cow<'_, str> {
        match &self.socket {
            Some(path) => path.into(),
            None if self.host.contains(':') => format!("[{}]:{}", self.host, self.port).into(),
            None => format!("{}:{}", self.host, self.port).into(),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.place())
    }
}

fn host_and_port(authority: &str) -> Result<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| wrong("a [ is not closed"))?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().map_err(|_| wrong("its port is not a number from 1 to 65535"))?,
    };
    Ok((if host.is_empty() { "localhost" } else { host }, port))
}

/// Replaces `%41` and the like; a `%` that begins no escape stays.
fn decoded(text: &str) -> Result<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escape = bytes.get(i + 1..i + 3).filter(|_| bytes[i] == b'%');
        let byte = escape.and_then(|hex| Some((digit(hex[0])? << 4) | digit(hex[1])?));
        out.push(byte.unwrap_or(bytes[i]));
        i += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).map_err(|_| wrong("an escape (%..) makes text that is not UTF-8"))
}

fn digit(hex: u8) -> Option<u8> {
    char::from(hex).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn wrong(why: &str) -> Error {
    Error::config(format!("the URL cannot be used: {why}"))
        .with_setting("url")
        .with_hint("write mysql://user:password@host:3306/database, the secret part as ${env:NAME} or ${file:path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Address {
        Address::parse(&Secret::new(url), Tls::default()).unwrap_or_else(|error| panic!("{url}: {error:?}"))
    }

    #[test]
    fn passwords_may_hold_any_character() {
        for (url, password) in [
            ("mysql://u:p@h/db", "p"),
            ("mysql://u:a@b:c/d%e#f?g@h:3307/db", "a@b:c/d%e#f?g"),
            ("mysql://u:%40%3A%2f%25%23@h/db", "@:/%#"),
            ("mysql://u:100%@h/db", "100%"),
            ("mysql://u:100%zz%4@h/db", "100%zz%4"),
            ("mariadb://u@h", ""),
            ("mysql://u:%C3%A4ä@h", "ää"),
        ] {
            let address = parsed(url);
            assert_eq!(address.password.expose(), password, "{url}");
            assert_eq!((address.user.as_str(), address.host.as_str()), ("u", "h"), "{url}");
            assert!(!format!("{address:?}").contains(password) || password.is_empty() || password == "p");
        }
    }

    #[test]
    fn places() {
        let address = parsed("mysql://u:p@h:3307/my%2Fdb");
        assert_eq!((address.port, address.database.as_deref()), (3307, Some("my/db")));
        assert_eq!(parsed("mysql://u:p@[::1]:33/").place(), "[::1]:33");
        assert_eq!(parsed("mysql://u@[fe80::1]").port, DEFAULT_PORT);
        let local = parsed("mysql://u@localhost/db?socket=/run/my%20sql.sock");
        assert_eq!(local.place(), "/run/my sql.sock");
    }

    #[test]
    fn mistakes_do_not_show_the_url() {
        for url in [
            "postgres://u:hunter2@h",
            "mysql://h",
            "mysql://:hunter2@h",
            "mysql://u:hunter2@h:port",
            "mysql://u:hunter2@[::1",
            "mysql://u:hunter2@h/d?ssl=1",
            "mysql://u:hunter2%ff@h",
        ] {
            let error = Address::parse(&Secret::new(url), Tls::default()).expect_err(url);
            assert_eq!((error.kind(), error.setting()), (aqueduct_model::ErrorKind::Config, Some("url")));
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
