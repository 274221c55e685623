//! TLS to a host, with a certificate for its name.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::EgressError;

/// TLS as a client. The certificates of the system are read when they are first
/// needed: most processes never do.
pub(super) struct Tls {
    extra_roots: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self { extra_roots, config: OnceCell::new() }
    }

    pub(super) async fn handshake(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, EgressError> {
        let config = self.config.get_or_try_init(|| self.load()).await?;
        let connection = |error: Box<dyn std::error::Error + Send + Sync>| EgressError::Connection(error);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| connection(Box::new(error)))?;
        let connected = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
        connected.map_err(|error| connection(Box::new(error)))
    }

    async fn load(&self) -> Result<Arc<ClientConfig>, EgressError> {
        let no_roots = |reason: String| EgressError::NoRoots(reason);
        // Reading them is file I/O.
        let loaded = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        let loaded = loaded.map_err(|error| no_roots(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        // A system's list may have some that are not understood.
        roots.add_parsable_certificates(loaded.certs);
        for certificate in &self.extra_roots {
            roots.add(certificate.clone()).map_err(|error| no_roots(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(no_roots(loaded.errors.first().map_or_else(|| "none".to_owned(), ToString::to_string)));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| no_roots(error.to_string()))?;
        Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
    }
}
