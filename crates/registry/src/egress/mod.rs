//! Connections that the registry opens because a tenant named a host: the
//! issuers of web identity tokens, for one.
//!
//! Invariant: a name is resolved once, every address it has is looked at, and
//! the connection goes to one of those addresses: a name that resolves
//! differently the next time leads nowhere else.
//! Invariant: nothing but HTTPS with a certificate for the name; no redirect is
//! followed, no cookie kept, no proxy asked, no credential sent.

mod address;
mod destination;
mod document;
mod error;
mod rules;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub use rules::EgressRules;

pub(crate) use destination::Destination;
pub(crate) use error::EgressError;

/// How long a connection may take, with its handshake.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// The most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 4;

/// The most addresses a name may have.
const MAX_RESOLVED: usize = 64;

/// The way out.
pub(crate) struct Egress {
    rules: EgressRules,
    tls: tls::Tls,
}

impl Egress {
    pub(crate) fn new(rules: EgressRules) -> Self {
        Self { tls: tls::Tls::new(rules.extra_roots.clone()), rules }
    }

    /// Reads a document of at most `limit` bytes.
    pub(crate) async fn get(&self, url: &str, limit: usize) -> Result<Bytes, EgressError> {
        let destination = Destination::parse(url, &self.rules)?;
        let connection = tokio::time::timeout(CONNECT_TIME, self.connect(&destination));
        let connection = connection.await.map_err(|_| EgressError::TimedOut)??;
        document::get(&destination, TokioIo::new(connection), limit).await
    }

    async fn connect(&self, destination: &Destination) -> Result<TlsStream<TcpStream>, EgressError> {
        let addresses = self.resolve(destination).await?;
        let mut failure = EgressError::NoAddress;
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            match TcpStream::connect(address).await {
                Ok(stream) => return self.tls.handshake(destination.host(), stream).await,
                Err(error) => failure = EgressError::Connection(Box::new(error)),
            }
        }
        Err(failure)
    }

    /// The addresses of a host, if all of them may be connected to.
    async fn resolve(&self, destination: &Destination) -> Result<Vec<SocketAddr>, EgressError> {
        let found = tokio::net::lookup_host((destination.host(), destination.port())).await;
        let found: Vec<SocketAddr> =
            found.map_err(|error| EgressError::Connection(Box::new(error)))?.take(MAX_RESOLVED + 1).collect();
        if found.len() > MAX_RESOLVED {
            return Err(EgressError::NoAddress);
        }
        self.rules.check_addresses(found.iter().map(SocketAddr::ip))?;
        Ok(found)
    }
}
