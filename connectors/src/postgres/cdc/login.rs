//! The login of a replication connection: start-up message, password exchange, until the server is ready.

use std::collections::BTreeMap;

use aqueduct_model::{Error, ErrorKind, Result, Secret};
use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use tokio_postgres::fallible_iterator::FallibleIterator;

use super::wire::Wire;
use crate::postgres::address::{Address, ChannelBinding};
use crate::postgres::connection::hba_line;

/// What makes the log's texts those of the query sessions.
const SESSION: &[(&str, &str)] = &[
    ("replication", "database"),
    ("client_encoding", "UTF8"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("search_path", "\"\""),
];

/// Logs in. `end_point`: the hash of the server's certificate, under TLS.
///
/// # Errors
/// `Auth`; those of the connection.
pub(super) async fn run(wire: &mut Wire, address: &Address, end_point: Option<Vec<u8>>) -> Result<()> {
    let name = format!("{} stream", address.application_name);
    let mut parameters: BTreeMap<&str, &str> = SESSION.iter().copied().collect();
    parameters.extend([("user", address.user.as_str()), ("database", &address.database), ("application_name", &name)]);
    parameters.extend(address.options.as_deref().map(|options| ("options", options)));
    frontend::startup_message(parameters, &mut wire.sent).map_err(|error| wire.lost(error))?;
    wire.send().await?;
    loop {
        match next(wire, address).await? {
            Message::AuthenticationOk => break,
            Message::AuthenticationCleartextPassword => {
                let password = password(address)?.expose().to_owned();
                answer(wire, |sent| frontend::password_message(password.as_bytes(), sent)).await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let password = password(address)?.expose();
                let hash = md5_hash(address.user.as_bytes(), password.as_bytes(), body.salt());
                answer(wire, |sent| frontend::password_message(hash.as_bytes(), sent)).await?;
            }
            Message::AuthenticationSasl(body) => scram(wire, address, &body, end_point.clone()).await?,
            _ => {
                return Err(Error::new(ErrorKind::Auth, "the server asks for a way to log in that is not supported")
                    .with_hint("let pg_hba.conf say scram-sha-256, md5, cert or trust for this role"));
            }
        }
    }
    loop {
        match next(wire, address).await? {
            Message::ReadyForQuery(_) => return Ok(()),
            Message::ParameterStatus(_) | Message::BackendKeyData(_) | Message::NoticeResponse(_) => {}
            _ => return Err(wire.unexpected()),
        }
    }
}

/// PostgreSQL 18 manual, 54.3 "SASL Authentication".
async fn scram(
    wire: &mut Wire,
    address: &Address,
    offered: &AuthenticationSaslBody,
    end_point: Option<Vec<u8>>,
) -> Result<()> {
    let (mut has_plain, mut has_plus) = (false, false);
    let mut mechanisms = offered.mechanisms();
    while let Ok(Some(mechanism)) = mechanisms.next() {
        has_plain |= mechanism == SCRAM_SHA_256;
        has_plus |= mechanism == SCRAM_SHA_256_PLUS;
    }
    let end_point = end_point.filter(|_| address.channel_binding != ChannelBinding::Disable);
    let (mechanism, binding) = match end_point {
        Some(hash) if has_plus => (SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(hash)),
        _ if address.channel_binding == ChannelBinding::Require => {
            return Err(Error::new(ErrorKind::Auth, "the login cannot be tied to the TLS session")
                .with_setting("url")
                .with_hint("leave channel_binding=require out, or have the server offer TLS and SCRAM-SHA-256-PLUS"));
        }
        Some(_) if has_plain => (SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
        None if has_plain => (SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
        _ => return Err(Error::new(ErrorKind::Auth, "the server offers no SCRAM-SHA-256")),
    };
    let mut exchange = ScramSha256::new(password(address)?.expose().as_bytes(), binding);
    let first = exchange.message().to_vec();
    answer(wire, |sent| frontend::sasl_initial_response(mechanism, &first, sent)).await?;
    let Message::AuthenticationSaslContinue(body) = next(wire, address).await? else { return Err(wire.unexpected()) };
    exchange.update(body.data()).map_err(failed)?;
    let second = exchange.message().to_vec();
    answer(wire, |sent| frontend::sasl_response(&second, sent)).await?;
    let Message::AuthenticationSaslFinal(body) = next(wire, address).await? else { return Err(wire.unexpected()) };
    exchange.finish(body.data()).map_err(failed)
}

fn failed(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Auth, "the password exchange with the server failed").with_setting("url").with_source(error)
}

async fn answer(wire: &mut Wire, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<()> {
    write(&mut wire.sent).map_err(|error| wire.lost(error))?;
    wire.send().await
}

async fn next(wire: &mut Wire, address: &Address) -> Result<Message> {
    wire.fill_until_frame().await?;
    match wire.message()? {
        Message::ErrorResponse(body) => {
            let error = wire.refused(&mut body.fields());
            let needs_line = error.kind() == ErrorKind::Auth && error.to_string().contains("pg_hba");
            Err(if needs_line { error.with_hint(hba_line(address)) } else { error })
        }
        message => Ok(message),
    }
}

fn password(address: &Address) -> Result<&Secret> {
    address.password.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Auth, "the server asks for a password, and none is given")
            .with_setting("url")
            .with_hint("write it into `url`: postgres://ROLE:PASSWORD@HOST:5432/DATABASE")
    })
}
