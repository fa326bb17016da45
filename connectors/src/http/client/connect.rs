//! Connections: to a checked address, with TLS for `https`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Result};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig as TlsConfig, RootCertStore};
use url::Url;

use super::address;
use super::settings::ClientConfig;
use super::wire::Line;

/// Reads whom to trust.
///
/// # Errors
/// `Config` when `ca_file` holds no certificate.
pub(super) fn tls(config: &ClientConfig) -> Result<TlsConnector> {
    let mut trusted = RootCertStore::empty();
    match &config.ca_file {
        None => trusted.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let (added, _) = trusted.add_parsable_certificates(certificates(path)?);
            if added == 0 {
                return Err(unusable(path));
            }
        }
    }
    let tls = TlsConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::bug("TLS 1.2 and 1.3 are not in this build").with_source(error))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(tls)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(|found| found.collect::<Result<Vec<_>, _>>());
    read.map_err(|error| unusable(path).with_source(error))
}

fn unusable(path: &Path) -> Error {
    Error::config(format!("there is no usable certificate in {}", path.display()))
        .with_setting("client.ca_file")
        .with_hint("let `ca_file` name a readable PEM file, or leave it out")
}

/// Connects to the host of a URL.
///
/// # Errors
/// Those of the address check; `Unavailable` when nobody answers; `Config` when the server's certificate is not trusted.
pub(super) async fn connect(url: &Url, config: &ClientConfig, tls: &TlsConnector) -> Result<Line> {
    let addresses = address::checked(url, config).await?;
    let host = url.host_str().unwrap_or_default();
    let unavailable =
        |error: io::Error| Error::new(ErrorKind::Unavailable, format!("cannot connect to {host}")).with_source(error);
    // By their numbers: nothing is resolved again.
    let tcp = TcpStream::connect(addresses.as_slice()).await.map_err(unavailable)?;
    tcp.set_nodelay(true).map_err(unavailable)?;
    if url.scheme() == "http" {
        return Ok(Line::new(Box::new(tcp)));
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare).map_err(|error| {
        Error::config(format!("{host} is no name of a TLS server")).with_setting("url").with_source(error)
    })?;
    let secured = tls.connect(name, tcp).await.map_err(|error| match error.kind() {
        // What rustls itself refuses; a connection that breaks keeps its own kind.
        io::ErrorKind::InvalidData => Error::config(format!("{host} cannot be trusted, or speaks no TLS 1.2 or 1.3"))
            .with_setting("client.ca_file")
            .with_hint("give the certificate of the authority that signed the server's as `client: { ca_file: … }`")
            .with_source(error),
        _ => unavailable(error),
    })?;
    Ok(Line::new(Box::new(secured)))
}
