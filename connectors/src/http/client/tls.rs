//! Whom to trust behind `https`.

use std::path::Path;
use std::sync::Arc;

use aqueduct_model::{Error, Result};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig as TlsConfig, RootCertStore};

/// TLS 1.2 and 1.3 with the certificates of a PEM file, or else of the authorities that browsers trust.
///
/// # Errors
/// `Config` when the file holds no certificate.
pub(super) fn config(ca_file: Option<&Path>) -> Result<TlsConfig> {
    let mut trusted = RootCertStore::empty();
    match ca_file {
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
        .map_err(|error| Error::bug("TLS 1.2 and 1.3 are not in this build").with_source(error))?;
    Ok(tls.with_root_certificates(trusted).with_no_client_auth())
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
