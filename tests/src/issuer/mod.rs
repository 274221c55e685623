//! An issuer of web identity tokens: HTTPS on a port of its own, for one test.

mod certificate;
mod signing_key;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::LOCATION;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use ironwharf_registry::EgressRules;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use certificate::Certificate;
pub use signing_key::SigningKey;

/// What is served, by path.
type Pages = Arc<Mutex<HashMap<String, Page>>>;

/// What is served at a path.
#[derive(Clone, Debug)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// `Location`, for redirects.
    pub location: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    port: u16,
    certificate: Certificate,
    pages: Pages,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    /// Starts an issuer that serves nothing yet.
    pub async fn start() -> Self {
        let certificate = Certificate::new();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certificate.key.clone()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(certificate.der.clone())], key)
            .expect("the certificate fits its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let issuer = Self { port, certificate, pages: Pages::default(), requests: Arc::default() };
        let (pages, requests) = (Arc::clone(&issuer.pages), Arc::clone(&issuer.requests));
        // Ends with the runtime of the test.
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let (acceptor, pages, requests) = (acceptor.clone(), Arc::clone(&pages), Arc::clone(&requests));
                tokio::spawn(async move {
                    // Clients that do not like the certificate go away here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = hyper::service::service_fn(|request: Request<Incoming>| {
                        let path = request.uri().path().to_owned();
                        requests.lock().unwrap().push(path.clone());
                        let page = pages.lock().unwrap().get(&path).cloned();
                        std::future::ready(Ok::<_, Infallible>(response(page)))
                    });
                    let served =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    // A client that has read enough goes away.
                    let _ = served.await;
                });
            }
        });
        issuer
    }

    /// The URL of the issuer below a path, without scheme: `localhost:<port>/<path>`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("localhost:{}{path}", self.port)
    }

    /// Rules that let a registry ask this issuer.
    #[must_use]
    pub fn egress(&self) -> EgressRules {
        let mut rules = EgressRules { allow_private: true, ..EgressRules::default() };
        rules.trust(self.certificate.pem().as_bytes()).expect("a certificate");
        rules
    }

    /// Serves something at a path.
    pub fn serve(&self, path: &str, status: u16, body: impl Into<Bytes>) {
        self.put(path, Page { status, location: None, body: body.into() });
    }

    /// Serves a redirect at a path.
    pub fn redirect(&self, path: &str, location: &str) {
        self.put(path, Page { status: 302, location: Some(location.to_owned()), body: Bytes::new() });
    }

    fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// Publishes keys as the issuer `https://localhost:<port><path>`.
    pub fn publish(&self, path: &str, keys: &[&SigningKey]) {
        let issuer = format!("https://{}", self.url(path));
        let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
        self.serve(&format!("{path}/.well-known/openid-configuration"), 200, metadata.to_string());
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.serve(&format!("{path}/keys"), 200, json!({ "keys": keys }).to_string());
    }

    /// The paths that were asked for since the last time.
    #[must_use]
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

fn response(page: Option<Page>) -> Response<Full<Bytes>> {
    let page = page.unwrap_or(Page { status: 404, location: None, body: Bytes::new() });
    let mut response = Response::new(Full::new(page.body));
    *response.status_mut() = StatusCode::from_u16(page.status).expect("a status");
    if let Some(location) = page.location {
        response.headers_mut().insert(LOCATION, location.parse().expect("a header"));
    }
    response
}
