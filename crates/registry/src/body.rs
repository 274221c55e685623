//! Request and response bodies.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http_body::Body as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use ironwharf_model::{Error, Result};

/// An error of a body's source.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body of either direction.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// How long the rest of a refused request is read for. Clients that are cut
/// off while they send report a broken connection instead of our answer.
const DRAIN_TIME: Duration = Duration::from_secs(20);

/// How long a client may send nothing in the middle of a request. One that is
/// gone without a word would hold what it writes to, and a connection.
const IDLE_TIME: Duration = Duration::from_mins(1);

/// How long a body that is read as a whole may take: a layer part of 20 MiB at a
/// megabit a second. What is read before its signature can be checked must have an end.
const WHOLE_TIME: Duration = Duration::from_mins(5);

/// A body of bytes that are there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An empty body.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Reads a whole body of up to `limit_bytes`.
pub async fn read(body: &mut Body, limit_bytes: usize) -> Result<Bytes> {
    let slow = |_| Error::BodyIncomplete { reason: format!("it took more than {} seconds", WHOLE_TIME.as_secs()) };
    tokio::time::timeout(WHOLE_TIME, read_whole(body, limit_bytes)).await.map_err(slow)?
}

async fn read_whole(body: &mut Body, limit_bytes: usize) -> Result<Bytes> {
    let too_large = || Error::BodyTooLarge { limit_bytes: limit_bytes as u64 };
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(too_large());
    }
    let Some(first) = next(body).await? else { return Ok(Bytes::new()) };
    if first.len() > limit_bytes {
        return Err(too_large());
    }
    let mut rest: Option<BytesMut> = None;
    while let Some(chunk) = next(body).await? {
        let collected = rest.get_or_insert_with(|| BytesMut::from(first.as_ref()));
        if collected.len() + chunk.len() > limit_bytes {
            return Err(too_large());
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// The next bytes of a body.
pub async fn next(body: &mut Body) -> Result<Option<Bytes>> {
    let silent = |_| Error::BodyIncomplete { reason: format!("nothing came for {} seconds", IDLE_TIME.as_secs()) };
    while let Some(frame) = tokio::time::timeout(IDLE_TIME, body.frame()).await.map_err(silent)? {
        let frame = frame.map_err(|error| Error::BodyIncomplete { reason: error.to_string() })?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Reads and drops what is left of a body, for a while, while the answer is on its
/// way. Of a body that is there as a whole, as in a function, nothing is left when
/// this returns.
pub fn drain_behind(mut body: Body) {
    let rest = async move {
        let rest = async { while let Ok(Some(_)) = next(&mut body).await {} };
        // Whoever sends for longer than this is cut off.
        let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
    };
    let mut rest = Box::pin(rest);
    if rest.as_mut().now_or_never().is_none() {
        tokio::spawn(rest);
    }
}
