//! How a connection is encrypted, and what is checked of the server's certificate.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use aqueduct_model::{Error, Result};
use mysql_async::{ClientIdentity, SslOpts};
use schemars::JsonSchema;
use serde::Deserialize;

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    /// Never.
    Disabled,
    /// If the server can; its certificate is not checked.
    #[default]
    Preferred,
    /// Always; the server's certificate is not checked.
    Required,
    /// Always; a known authority must have signed the server's certificate, whoever it is for.
    VerifyCa,
    /// Always; a known authority must have signed the server's certificate for the host that is connected to.
    VerifyIdentity,
}

/// The mode and the files that it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    pub mode: TlsMode,
    /// Certificates of the authorities to trust (PEM); without it, the public ones that browsers trust.
    pub ca: Option<PathBuf>,
    /// Our certificate chain (PEM), for accounts that REQUIRE X509.
    pub cert: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Checks that the settings fit together. Reads no file.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        match (&self.cert, &self.key) {
            (Some(_), None) => Err(Error::config("`tls_cert` is given without `tls_key`")
                .with_setting("tls_key")
                .with_hint("name the PEM file with the certificate's private key")),
            (None, Some(_)) => Err(Error::config("`tls_key` is given without `tls_cert`")
                .with_setting("tls_cert")
                .with_hint("name the PEM file with the certificate that belongs to the key")),
            _ => Ok(()),
        }
    }

    /// The client library's form of it; `None` for a plain connection.
    ///
    /// `name` replaces the host that the certificate must be for.
    pub(super) fn options(&self, name: Option<&str>) -> Result<Option<SslOpts>> {
        self.validate()?;
        if self.mode == TlsMode::Disabled {
            return Ok(None);
        }
        let checked = matches!(self.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity);
        let mut options = SslOpts::default().with_danger_accept_invalid_certs(!checked);
        if let Some(ca) = &self.ca {
            readable(ca, "tls_ca")?;
            options = options.with_root_certs(vec![ca.clone().into()]).with_disable_built_in_roots(checked);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            readable(cert, "tls_cert")?;
            readable(key, "tls_key")?;
            options = options.with_client_identity(Some(ClientIdentity::new(cert.clone().into(), key.clone().into())));
        }
        if let Some(name) = name {
            options = options.with_danger_tls_hostname_override(Some(Cow::Owned(name.to_owned())));
        }
        Ok(Some(options))
    }
}

fn readable(file: &Path, setting: &str) -> Result<()> {
    std::fs::File::open(file).map(drop).map_err(|error| {
        Error::config(format!("cannot read {}", file.display()))
            .with_source(error)
            .with_setting(setting)
            .with_hint("name a PEM file that this user may read")
    })
}

/// A name that the certificate is for, out of the text with which rustls refuses another one.
///
/// rustls checks the signatures first and the name last, so that this refusal says that the chain is good: under
/// `verify_ca` a second attempt asks for a name that the certificate does have. (The client library's own switch for
/// that compares with a text that rustls 0.23 no longer writes.)
pub(super) fn name_in_refusal(text: &str) -> Option<String> {
    let (_, names) = text.split_once("certificate is only valid for ")?;
    let name = match names.strip_prefix("DnsName(\"") {
        Some(rest) => rest.split_once("\")")?.0,
        None => names.strip_prefix("IpAddress(")?.split_once(')')?.0,
    };
    Some(match name.strip_prefix("*.") {
        Some(domain) => format!("any.{domain}"),
        None => name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_refusals() {
        for (text, name) in [
            (
                r#"x: certificate not valid for name "a"; certificate is only valid for DnsName("db.example")"#,
                "db.example",
            ),
            (
                r#"certificate is only valid for DnsName("*.example"), IpAddress(10.0.0.1) or DnsName("x")"#,
                "any.example",
            ),
            ("certificate is only valid for IpAddress(10.0.0.1)", "10.0.0.1"),
        ] {
            assert_eq!(name_in_refusal(text).as_deref(), Some(name), "{text}");
        }
        assert_eq!(name_in_refusal("certificate is not valid for any names"), None);
    }

    #[test]
    fn a_key_goes_with_its_certificate() {
        let tls = Tls { key: Some("k.pem".into()), ..Tls::default() };
        assert_eq!(tls.validate().expect_err("no certificate").setting(), Some("tls_cert"));
    }
}
