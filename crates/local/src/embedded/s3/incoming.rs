//! Request bodies on their way to the disk.
//!
//! Invariant: of a body that ends early, errors, or is not what its checksum
//! says, nothing stays behind: neither a row nor a file.
//! Invariant: at most [`QUEUE`] pieces of a body wait for the disk.

use std::io::{IoSlice, Write as _};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3Result, s3_error};
use tokio::sync::mpsc;

use super::checksums::{Computed, Hasher};
use super::content::{Content, INLINE_MAX};
use super::files::{DataFiles, Draft, Fresh};
use super::sealed::{DataKeys, Seal, Sealer};
use super::store::internal;

/// How many pieces of a body may wait for the disk.
const QUEUE: usize = 8;

/// A body that is on the disk, or small enough for its row.
#[derive(Debug)]
pub(super) struct Received {
    /// Where the bytes are.
    pub(super) content: Content,
    /// What was computed over them.
    pub(super) computed: Computed,
    /// Removes the file unless a row names it in the end.
    pub(super) fresh: Option<Fresh>,
}

/// What the writing thread is told.
enum Piece {
    Data(Bytes),
    /// The body is complete. A queue that closes without this was abandoned.
    End,
}

/// Stores a body, sealed if there are data keys. `announced` is its length
/// according to the headers.
pub(super) async fn receive(
    files: &Arc<DataFiles>,
    body: Option<StreamingBlob>,
    announced: Option<i64>,
    hasher: Hasher,
    keys: Option<&DataKeys>,
) -> S3Result<Received> {
    let sealer = keys.map(Sealer::new).transpose().map_err(internal)?;
    let mut body = body.unwrap_or_else(|| StreamingBlob::from(s3s::Body::empty()));
    let mut start = Vec::new();
    let mut size = 0;
    while size <= INLINE_MAX {
        let Some(piece) = body.next().await else {
            check_length(announced, size as u64)?;
            return small(&start, size, hasher, sealer).map_err(internal);
        };
        let piece = piece.map_err(cut_short)?;
        size += piece.len();
        start.push(piece);
    }
    large(files, start, body, announced, hasher, sealer).await
}

fn small(pieces: &[Bytes], size: usize, mut hasher: Hasher, sealer: Option<Sealer>) -> std::io::Result<Received> {
    let mut bytes = BytesMut::with_capacity(size);
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    hasher.update(&bytes);
    let content = match sealer {
        None => Content::inline(bytes.freeze()),
        Some(mut sealer) => {
            let mut output = BytesMut::with_capacity(size);
            let mut keep = |piece: &[u8]| {
                output.extend_from_slice(piece);
                Ok(())
            };
            sealer.write(&bytes, &mut keep)?;
            let seal = sealer.finish(&mut keep)?;
            Content::sealed_inline(output.freeze(), seal)
        }
    };
    Ok(Received { content, computed: hasher.finish(), fresh: None })
}

async fn large(
    files: &Arc<DataFiles>,
    start: Vec<Bytes>,
    mut body: StreamingBlob,
    announced: Option<i64>,
    hasher: Hasher,
    sealer: Option<Sealer>,
) -> S3Result<Received> {
    let (queue, pieces) = mpsc::channel(QUEUE);
    let files = Arc::clone(files);
    let writer = tokio::task::spawn_blocking(move || write(&files, pieces, hasher, sealer));
    let mut size = 0;
    let mut start = start.into_iter();
    loop {
        let piece = match start.next() {
            Some(piece) => piece,
            None => match body.next().await {
                Some(piece) => piece.map_err(cut_short)?,
                None => break,
            },
        };
        size += piece.len() as u64;
        if queue.send(Piece::Data(piece)).await.is_err() {
            break;
        }
    }
    // A queue is closed here if the writer gave up; joining it tells the reason.
    if !queue.is_closed() {
        check_length(announced, size)?;
        let _ = queue.send(Piece::End).await;
    }
    let (fresh, computed, seal) = writer.await.map_err(internal)?.map_err(internal)?;
    let id = fresh.id().cloned();
    let content = id.map(|id| Content::file(id, size, seal)).unwrap_or_default();
    Ok(Received { content, computed, fresh: Some(fresh) })
}

/// Runs on a blocking thread. Returning an error drops, and so removes, the file.
fn write(
    files: &Arc<DataFiles>,
    mut queue: mpsc::Receiver<Piece>,
    mut hasher: Hasher,
    mut sealer: Option<Sealer>,
) -> std::io::Result<(Fresh, Computed, Option<Seal>)> {
    let mut draft = files.create()?;
    let mut batch = Vec::with_capacity(QUEUE);
    while queue.blocking_recv_many(&mut batch, QUEUE) > 0 {
        let is_complete = batch.iter().any(|piece| matches!(piece, Piece::End));
        match &mut sealer {
            None => write_batch(&mut draft, &mut hasher, &batch)?,
            Some(sealer) => seal_batch(&mut draft, &mut hasher, sealer, &batch)?,
        }
        batch.clear();
        if is_complete {
            let seal = sealer.map(|sealer| sealer.finish(|piece| draft.file.write_all(piece))).transpose()?;
            return Ok((draft.finish()?, hasher.finish(), seal));
        }
    }
    Err(std::io::Error::other("the request was abandoned"))
}

fn seal_batch(draft: &mut Draft, hasher: &mut Hasher, sealer: &mut Sealer, batch: &[Piece]) -> std::io::Result<()> {
    for piece in batch {
        if let Piece::Data(bytes) = piece {
            hasher.update(bytes);
            sealer.write(bytes, |sealed| draft.file.write_all(sealed))?;
        }
    }
    Ok(())
}

fn write_batch(draft: &mut Draft, hasher: &mut Hasher, batch: &[Piece]) -> std::io::Result<()> {
    let mut slices = Vec::with_capacity(batch.len());
    for piece in batch {
        if let Piece::Data(bytes) = piece {
            hasher.update(bytes);
            slices.push(IoSlice::new(bytes));
        }
    }
    let mut rest = slices.as_mut_slice();
    // Empty pieces at the front would look like a write that made no progress.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match draft.file.write_vectored(rest) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut rest, count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn check_length(announced: Option<i64>, size: u64) -> S3Result<()> {
    match announced.map(u64::try_from) {
        None => Ok(()),
        Some(Ok(announced)) if announced == size => Ok(()),
        Some(_) => Err(s3_error!(
            IncompleteBody,
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        )),
    }
}

fn cut_short(error: Box<dyn std::error::Error + Send + Sync>) -> S3Error {
    let mut answer = s3_error!(IncompleteBody, "The request body could not be read: {error}");
    answer.set_source(error);
    answer
}
