//! The handshake, for our own connection and for `tokio-postgres`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aqueduct_model::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::SupportedCipherSuite;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::hash::{Hash, HashAlgorithm};
use tokio_rustls::rustls::pki_types::ServerName;

use super::Tls;
use super::certificate::{SignatureHash, signature_hash};

/// An encrypted line, with what ties a login to it.
pub(crate) struct TlsSession<S> {
    stream: TlsStream<S>,
    end_point: Option<Vec<u8>>,
}

impl Tls {
    /// For `tokio_postgres::Config::connect`.
    pub fn for_client(&self) -> ClientTls {
        ClientTls { tls: self.clone() }
    }

    /// The handshake over a line on which the server has agreed to TLS.
    ///
    /// # Errors
    /// `Config` when the server's certificate is refused, `Unavailable` when the line breaks.
    pub async fn handshake<S>(&self, host: &str, line: S) -> Result<TlsSession<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = server_name(host)?;
        self.handshake_as(name, line).await.map_err(|error| refused(host, error))
    }

    async fn handshake_as<S>(&self, name: ServerName<'static>, line: S) -> io::Result<TlsSession<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = TlsConnector::from(self.config.clone()).connect(name, line).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|certificates| certificates.first());
        let end_point = certificate.and_then(|certificate| end_point(&self.provider, certificate));
        Ok(TlsSession { stream, end_point })
    }
}

/// The certificate's hash, as in RFC 5929.
fn end_point(provider: &CryptoProvider, certificate: &[u8]) -> Option<Vec<u8>> {
    let wanted = match signature_hash(certificate)? {
        SignatureHash::Sha256 => HashAlgorithm::SHA256,
        SignatureHash::Sha384 => HashAlgorithm::SHA384,
    };
    let hash = provider.cipher_suites.iter().map(suite_hash).find(|hash| hash.algorithm() == wanted)?;
    Some(hash.hash(certificate).as_ref().to_vec())
}

fn suite_hash(suite: &SupportedCipherSuite) -> &'static dyn Hash {
    match suite {
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|error| {
        Error::config(format!("{host} cannot be the name in a certificate"))
            .with_setting("url")
            .with_hint("give the host by its name or IP address, or add sslmode=disable")
            .with_source(error)
    })
}

/// Rustls reports a refused certificate as invalid data; a broken line is any other kind.
fn refused(host: &str, error: io::Error) -> Error {
    if error.kind() != io::ErrorKind::InvalidData {
        return Error::new(ErrorKind::Unavailable, format!("the TLS handshake with {host} broke off"))
            .with_source(error);
    }
    Error::config(format!("the TLS handshake with {host} failed"))
        .with_setting("url")
        .with_hint(
            "let sslrootcert name the certificate that signed the server's and the host be the one it was made for; \
             sslmode=verify-ca does not look at the host, sslmode=require believes any certificate",
        )
        .with_source(error)
}

impl<S> TlsSession<S> {
    /// What SCRAM-SHA-256-PLUS signs (`tls-server-end-point`); `None` for certificates that have no such hash.
    pub fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    /// What is encrypted.
    pub fn line(&mut self) -> &mut S {
        self.stream.get_mut().0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsSession<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsSession<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> tls::TlsStream for TlsSession<S> {
    fn channel_binding(&self) -> tls::ChannelBinding {
        match &self.end_point {
            Some(hash) => tls::ChannelBinding::tls_server_end_point(hash.clone()),
            None => tls::ChannelBinding::none(),
        }
    }
}

/// [`Tls`] in the form that `tokio-postgres` takes.
#[derive(Debug, Clone)]
pub(crate) struct ClientTls {
    tls: Tls,
}

impl<S> tls::MakeTlsConnect<S> for ClientTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = TlsSession<S>;
    type TlsConnect = NamedTls;
    type Error = Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<NamedTls> {
        // A Unix socket has no name, and no TLS either.
        let name = if host.is_empty() || host.starts_with('/') { "localhost" } else { host };
        Ok(NamedTls { tls: self.tls.clone(), host: Arc::from(name), name: server_name(name)? })
    }
}

/// A handshake that is about to be made with one host.
pub(crate) struct NamedTls {
    tls: Tls,
    host: Arc<str>,
    name: ServerName<'static>,
}

impl<S> tls::TlsConnect<S> for NamedTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = TlsSession<S>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<TlsSession<S>>> + Send>>;

    fn connect(self, line: S) -> Self::Future {
        Box::pin(async move {
            let host = self.host;
            self.tls.handshake_as(self.name, line).await.map_err(|error| refused(&host, error))
        })
    }
}
