//! TLS for the binary log's connection, with the same meaning of `tls` as every other connection has.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::{Error, Result};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::packets::Io;
use crate::mysql::address::Address;
use crate::mysql::tls::{Tls, TlsMode};

/// Wraps a stream.
///
/// # Errors
/// `Config` for files, certificates and names.
pub(super) async fn encrypt(io: Box<dyn Io>, address: &Address) -> Result<Box<dyn Io>> {
    let connector = TlsConnector::from(Arc::new(config(&address.tls)?));
    let name = ServerName::try_from(address.host.clone()).map_err(|error| {
        Error::config(format!("{} cannot be the name in a certificate", address.host))
            .with_setting("url")
            .with_source(error)
    })?;
    match connector.connect(name, io).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(crate::mysql::error::failed(error.into(), format!("connecting to {}", address.place()))),
    }
}

fn config(tls: &Tls) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let wrong = |error| Error::config("TLS cannot be set up").with_setting("tls").with_source(error);
    let verifier = Arc::new(Verifier::new(tls, &provider)?);
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(wrong)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "tls_cert")?;
            let key = PrivateKeyDer::from_pem_slice(&read(key, "tls_key")?)
                .map_err(|_| Error::config("the file holds no private key in PEM form").with_setting("tls_key"))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong(error).with_setting("tls_cert"))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn read(file: &Path, setting: &str) -> Result<Vec<u8>> {
    fs::read(file).map_err(|error| {
        Error::config(format!("cannot read {}", file.display()))
            .with_setting(setting)
            .with_source(error)
            .with_hint("name a PEM file that this user may read")
    })
}

fn certificates(file: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(file, setting)?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Error::config(format!("{} holds no certificate in PEM form", file.display())).with_setting(setting)),
    }
}

/// Checks of the server's certificate what the mode asks for.
#[derive(Debug)]
struct Verifier {
    /// `None`: nothing but that the server has the certificate's key.
    chain: Option<Arc<WebPkiServerVerifier>>,
    checks_name: bool,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Self> {
        let checks_name = tls.mode == TlsMode::VerifyIdentity;
        let chain = if matches!(tls.mode, TlsMode::VerifyCa | TlsMode::VerifyIdentity) {
            let mut roots = RootCertStore::empty();
            match &tls.ca {
                None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
                Some(file) => {
                    for certificate in certificates(file, "tls_ca")? {
                        roots.add(certificate).map_err(|error| {
                            Error::config("the file holds a certificate that cannot be an authority's")
                                .with_setting("tls_ca")
                                .with_source(error)
                        })?;
                    }
                }
            }
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            Some(verifier.map_err(|error| {
                Error::config("the certificates cannot be used").with_setting("tls_ca").with_source(error)
            })?)
        } else {
            None
        };
        Ok(Self { chain, checks_name, provider: provider.clone() })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: the chain is good.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
