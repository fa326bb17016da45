//! TLS to a PostgreSQL server: rustls on ring, for the client library and for the replication connection alike.
//!
//! The modes are libpq's. `prefer` and `require` hide the line from those who listen but believe any certificate;
//! `verify-ca` wants a certificate that the root signed, `verify-full` also that it was made for this host. `require`
//! with a root certificate is `verify-ca`, as in libpq.

mod certificate;
mod connect;
#[cfg(test)]
mod tests;
mod verifier;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use verifier::{Check, Verifier};

pub(crate) use connect::TlsSession;

/// The value of `sslrootcert` that stands for the certificates that this machine trusts.
const SYSTEM_ROOTS: &str = "system";
/// Where Linux distributions keep those, unless `SSL_CERT_FILE` names another place.
const SYSTEM_ROOT_FILES: &[&str] =
    &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How the line to the server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TlsMode {
    /// Not at all.
    Disable,
    /// Encrypted where the server can; else not.
    #[default]
    Prefer,
    /// Encrypted; any certificate is believed.
    Require,
    /// Encrypted; the certificate must be signed by the root certificate.
    VerifyCa,
    /// Encrypted; the certificate must be signed by the root certificate and made for this host.
    VerifyFull,
}

impl TlsMode {
    /// The mode of that libpq name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "disable" => Some(Self::Disable),
            // "allow" would try plainly first; what it promises is no more than "prefer" does.
            "allow" | "prefer" => Some(Self::Prefer),
            "require" => Some(Self::Require),
            "verify-ca" => Some(Self::VerifyCa),
            "verify-full" => Some(Self::VerifyFull),
            _ => None,
        }
    }
}

/// The TLS part of an address.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TlsSettings {
    /// What is demanded.
    pub mode: TlsMode,
    /// PEM file of the certificates that may sign the server's; `system` for those that this machine trusts.
    pub root_cert: Option<PathBuf>,
    /// PEM file of our certificate, with those that signed it.
    pub cert: Option<PathBuf>,
    /// PEM file of our private key, without a passphrase.
    pub key: Option<PathBuf>,
}

/// TLS ready for use: files are read, checks are chosen. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tls {
    mode: TlsMode,
    config: Arc<ClientConfig>,
    provider: Arc<CryptoProvider>,
}

impl TlsSettings {
    /// Reads the files (a few KiB) and chooses the checks.
    ///
    /// # Errors
    /// `Config` that names the file's parameter.
    pub fn load(&self) -> Result<Tls> {
        let provider = Arc::new(ring::default_provider());
        let check = match (self.mode, &self.root_cert) {
            (TlsMode::VerifyFull, root) => Check::ChainAndHost(roots(root.as_deref())?),
            (TlsMode::VerifyCa, root) => Check::Chain(roots(root.as_deref())?),
            (TlsMode::Require, Some(root)) => Check::Chain(roots(Some(root))?),
            (TlsMode::Disable | TlsMode::Prefer | TlsMode::Require, _) => Check::Nothing,
        };
        let verifier = Verifier::new(check, provider.signature_verification_algorithms);
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::bug("TLS 1.2 and 1.3 are not in this build").with_source(error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates(cert, "sslcert")?, private_key(key)?)
                .map_err(|error| unreadable("sslkey", key, "it does not belong to sslcert").with_source(error))?,
            _ => builder.with_no_client_auth(),
        };
        Ok(Tls { mode: self.mode, config: Arc::new(config), provider })
    }
}

/// Certificates are public, keys are not: neither is printed.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The trusted certificates: for the store, and as they are, for a server that shows one of them itself.
fn roots(path: Option<&Path>) -> Result<(RootCertStore, Vec<CertificateDer<'static>>)> {
    let path = path.ok_or_else(|| {
        Error::config("sslmode wants the server's certificate checked, but no root certificate is given")
            .with_setting("url")
            .with_hint("add sslrootcert=FILE.pem to the address, or sslrootcert=system for what this machine trusts")
    })?;
    let certificates = certificates(&root_file(path)?, "sslrootcert")?;
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        return Err(unreadable("sslrootcert", path, "there is no usable certificate in it"));
    }
    Ok((store, certificates))
}

fn root_file(path: &Path) -> Result<PathBuf> {
    if path != Path::new(SYSTEM_ROOTS) {
        return Ok(path.to_owned());
    }
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let known = SYSTEM_ROOT_FILES.iter().map(PathBuf::from);
    named.into_iter().chain(known).find(|file| file.exists()).ok_or_else(|| {
        Error::config("this machine has no list of trusted certificates")
            .with_setting("url")
            .with_hint("install the package ca-certificates, or give a file as sslrootcert=FILE.pem")
    })
}

fn certificates(path: &Path, parameter: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(|found| found.collect::<Result<Vec<_>, _>>());
    let certificates = read.map_err(|error| unreadable(parameter, path, "no PEM certificates").with_source(error))?;
    if certificates.is_empty() {
        return Err(unreadable(parameter, path, "there is no certificate in it"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| {
        Error::config(format!("cannot read sslkey {}: no PEM private key without a passphrase", path.display()))
            .with_setting("url")
            .with_hint("take the passphrase off with `openssl pkey -in KEY -out KEY.plain`, or correct sslkey")
            .with_source(error)
    })
}

fn unreadable(parameter: &str, path: &Path, why: &str) -> Error {
    Error::config(format!("cannot read {parameter} {}: {why}", path.display()))
        .with_setting("url")
        .with_hint(format!("let {parameter} name a readable PEM file"))
}
