//! Reading one document over a connection.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::rt::{Read, Write};
use tokio::task::JoinSet;

use super::{Destination, EgressError};

/// The most that is read of an answer's head.
const MAX_HEAD: usize = 64 * 1024;

/// Asks for a document and reads it, if the answer is a plain 200. What it is
/// said to contain is not believed, so it is not looked at.
pub(super) async fn get(
    destination: &Destination,
    io: impl Read + Write + Send + Unpin + 'static,
    limit: usize,
) -> Result<Bytes, EgressError> {
    let broken = |error: hyper::Error| EgressError::Connection(Box::new(error));
    let request = Request::get(destination.path())
        .header(HOST, destination.authority())
        .header(USER_AGENT, concat!("ironwharf/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| EgressError::Connection(Box::new(error)))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::Builder::new().max_buf_size(MAX_HEAD).handshake(io).await.map_err(broken)?;
    // Dropped with this call, however it ends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    if response.status() != StatusCode::OK {
        return Err(EgressError::Status(response.status()));
    }
    let mut body = response.into_body();
    let mut document = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if document.len() + data.len() > limit {
            return Err(EgressError::TooLarge(limit));
        }
        document.extend_from_slice(&data);
    }
    Ok(document.freeze())
}
