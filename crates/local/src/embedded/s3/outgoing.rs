//! Object bytes on their way to the client.
//!
//! A chunk is read when the one before it was taken. So a slow client costs one
//! chunk of memory and no thread, and a fast one finds the next chunk ready.
//!
//! Invariant: a stream ends early only with an error.
//! Invariant: a finished stream may be polled again; the SDK does.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{FutureExt as _, Stream};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use tokio::task::JoinHandle;

use super::content::{Content, Segment};
use super::files::{FileId, Held};
use super::sealed::{DataKeys, Seal, Sequence};

/// How much is read at once: big enough to make the system calls and the hops
/// between threads cheap, small enough to stay in the processor's cache.
const CHUNK: u64 = 512 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A stream over a content whose files are held; `keys` open what is sealed.
pub(super) fn stream(content: Content, held: Held, keys: Option<DataKeys>) -> StreamingBlob {
    let remaining = content.size();
    if content.segments.iter().all(|Segment(id, _, _, seal)| id.is_none() && seal.is_none()) {
        return StreamingBlob::from(s3s::Body::from(content.inline));
    }
    let buffers = Buffers::default();
    let reader = Reader { content, segment: 0, position: 0, open: None, held, buffers, keys, sequence: None };
    StreamingBlob::new(Chunks { remaining, next: Some(read_ahead(reader)) })
}

/// The position in a content.
struct Reader {
    content: Content,
    segment: usize,
    position: u64,
    open: Option<(FileId, File)>,
    held: Held,
    buffers: Buffers,
    keys: Option<DataKeys>,
    /// The keys of the segment that is being read.
    sequence: Option<(usize, Sequence)>,
}

/// Buffers that were sent and can be filled again: fresh memory costs a page
/// fault every 4 KiB, which is half the time of a large read.
#[derive(Clone, Default)]
struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// A buffer of `count` bytes; what is in it is anything.
    fn take(&self, count: usize) -> Buffer {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        bytes.resize(count, 0);
        Buffer { bytes, home: self.clone() }
    }
}

/// A buffer that goes back to where it came from when it was sent.
struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
    }
}

impl Reader {
    /// The next chunk; `None` after the last one.
    fn read(&mut self) -> std::io::Result<Option<Bytes>> {
        let Some(Segment(id, offset, len, seal)) = self.content.segments.get(self.segment).cloned() else {
            return Ok(None);
        };
        let start = offset + self.position;
        let count = (len - self.position).min(CHUNK);
        let bytes = match (id, seal) {
            (id, Some(seal)) => self.read_sealed(id, &seal, start, count)?,
            (None, None) => self.content.inline_run(start, count),
            (Some(id), None) => self.read_file(id, start, count)?,
        };
        self.position += count;
        if self.position == len {
            self.segment += 1;
            self.position = 0;
        }
        Ok(Some(bytes))
    }

    fn read_sealed(&mut self, id: Option<FileId>, seal: &Seal, start: u64, count: u64) -> std::io::Result<Bytes> {
        let span = seal.span(&(start..start + count));
        let len = span.stored.end - span.stored.start;
        let mut stored = match id {
            None => self.content.inline_run(span.stored.start, len).to_vec(),
            Some(id) => self.read_file(id, span.stored.start, len)?.to_vec(),
        };
        let sequence = match self.sequence.take() {
            Some((segment, sequence)) if segment == self.segment => sequence,
            _ => {
                let keys =
                    self.keys.as_ref().ok_or_else(|| std::io::Error::other("a sealed object has no data key"))?;
                keys.sequence(seal)?
            }
        };
        let opened = sequence.read(&span, &mut stored)?;
        self.sequence = Some((self.segment, sequence));
        Ok(Bytes::from(opened))
    }

    fn read_file(&mut self, id: FileId, start: u64, count: u64) -> std::io::Result<Bytes> {
        let mut buffer = self.buffers.take(usize::try_from(count).map_err(std::io::Error::other)?);
        let (open, file) = match self.open.take() {
            Some((open, file)) if open == id => (open, file),
            _ => {
                let file = self.held.files().read(&id)?;
                (id, file)
            }
        };
        file.read_exact_at(&mut buffer.bytes, start)?;
        self.open = Some((open, file));
        Ok(Bytes::from_owner(buffer))
    }
}

type Read = (Reader, std::io::Result<Option<Bytes>>);

fn read_ahead(mut reader: Reader) -> JoinHandle<Read> {
    tokio::task::spawn_blocking(move || {
        let result = reader.read();
        (reader, result)
    })
}

/// The chunks of a content.
struct Chunks {
    remaining: u64,
    next: Option<JoinHandle<Read>>,
}

impl Stream for Chunks {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(next) = &mut self.next else {
            return Poll::Ready(None);
        };
        let read = ready!(next.poll_unpin(context));
        self.next = None;
        let item = match read {
            Err(error) => Some(Err(error.into())),
            Ok((_, Err(error))) => Some(Err(error.into())),
            Ok((_, Ok(None))) => None,
            Ok((reader, Ok(Some(bytes)))) => {
                self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
                if self.remaining > 0 {
                    self.next = Some(read_ahead(reader));
                }
                Some(Ok(bytes))
            }
        };
        Poll::Ready(item)
    }
}

impl ByteStream for Chunks {
    fn remaining_length(&self) -> RemainingLength {
        usize::try_from(self.remaining).map_or_else(|_| RemainingLength::unknown(), RemainingLength::new_exact)
    }
}
