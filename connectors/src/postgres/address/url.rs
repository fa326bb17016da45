//! `user:password@host:port/database?name=value`, with the forgiveness that passwords need.

use aqueduct_model::{Result, Secret};

use super::{Parts, not_an_address, one_host_only, port};

/// Reads what follows `postgres://`.
pub(super) fn parse(text: &str) -> Result<Parts> {
    let mut parts = Parts::default();
    let (login, place, parameters) = split(text);
    if let Some(login) = login {
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        parts.user = Some(decode(user)?);
        parts.password = password.map(decode).transpose()?.map(Secret::new);
    }
    let (host, database) = match place.split_once('/') {
        Some((host, database)) => (host, Some(database)),
        None => (place, None),
    };
    server(host, &mut parts)?;
    parts.database = database.map(decode).transpose()?;
    for parameter in parameters.unwrap_or_default().split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) =
            parameter.split_once('=').ok_or_else(|| not_an_address("behind ? stands something without ="))?;
        parts.set(&decode(name)?, decode(value)?)?;
    }
    Ok(parts)
}

/// Login, place, parameters. The login ends at the last `@` before the parameters, so that a password may hold `@`, `/`,
/// `#` and `:` as they are; and `?` too, as long as no other `@` comes before it.
fn split(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (before, parameters) = match text.split_once('?') {
        Some((before, parameters)) => (before, Some(parameters)),
        None => (text, None),
    };
    if let Some((login, place)) = before.rsplit_once('@') {
        return (Some(login), place, parameters);
    }
    let looks_like_login = before.contains(':') && parameters.is_some_and(|rest| rest.contains('@'));
    if looks_like_login
        && !has_parameter_name(parameters)
        && let Some((login, rest)) = text.rsplit_once('@')
    {
        let (place, parameters) = match rest.split_once('?') {
            Some((place, parameters)) => (place, Some(parameters)),
            None => (rest, None),
        };
        return (Some(login), place, parameters);
    }
    (None, before, parameters)
}

/// True when what stands behind the first `?` begins like `sslmode=`: then it is parameters and no password.
fn has_parameter_name(parameters: Option<&str>) -> bool {
    let name = parameters.and_then(|parameters| parameters.split_once('=')).map_or("", |(name, _)| name);
    super::PARAMETERS.split(", ").any(|known| known == name)
}

fn server(text: &str, parts: &mut Parts) -> Result<()> {
    if text.contains(',') {
        return Err(one_host_only());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) =
            rest.split_once(']').ok_or_else(|| not_an_address("the [ of an IPv6 address is not closed"))?;
        parts.host = Some(host.to_owned());
        if let Some(number) = rest.strip_prefix(':') {
            parts.port = Some(port(number)?);
        }
        return Ok(());
    }
    match text.split_once(':') {
        Some((host, number)) => {
            parts.host = Some(decode(host)?);
            parts.port = if number.is_empty() { None } else { Some(port(number)?) };
        }
        None if text.is_empty() => {}
        None => parts.host = Some(decode(text)?),
    }
    Ok(())
}

/// Undoes `%xx`. A `%` that two hexadecimal digits do not follow stands for itself.
fn decode(text: &str) -> Result<String> {
    let hex = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = match (bytes[i], bytes.get(i + 1), bytes.get(i + 2)) {
            (b'%', Some(&high), Some(&low)) => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        decoded.push(escaped.unwrap_or(bytes[i]));
        i += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).map_err(|_| not_an_address("a %-escape in it is not UTF-8"))
}
