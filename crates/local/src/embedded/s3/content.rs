//! What an object consists of: pieces of data files, and of its own row.
//!
//! Invariant: the lengths of the segments add up to the size.
//! Invariant: a segment without a file lies inside the row's inline bytes.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::files::FileId;
use super::sealed::Seal;

/// Objects up to this size live in their row: a row and its commit cost one
/// fsync, a file of its own costs two more.
pub(super) const INLINE_MAX: usize = 16 * 1024;

/// One run of bytes: where it is, where it starts there, and how long it is. Of
/// a sealed sequence, place and length are those of the opened bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment(
    pub(super) Option<FileId>,
    pub(super) u64,
    pub(super) u64,
    #[serde(default, skip_serializing_if = "Option::is_none")] pub(super) Option<Seal>,
);

/// The bytes of an object or of a part.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    /// The runs, in order.
    pub(super) segments: Vec<Segment>,
    /// What the segments without a file point into.
    pub(super) inline: Bytes,
}

impl Content {
    /// Bytes that live in the row.
    pub(super) fn inline(bytes: Bytes) -> Self {
        let mut content = Self::default();
        if !bytes.is_empty() {
            content.segments.push(Segment(None, 0, bytes.len() as u64, None));
        }
        content.inline = bytes;
        content
    }

    /// A sealed sequence that lives in the row.
    pub(super) fn sealed_inline(bytes: Bytes, seal: Seal) -> Self {
        if seal.size == 0 {
            return Self::default();
        }
        Self { segments: vec![Segment(None, 0, seal.size, Some(seal))], inline: bytes }
    }

    /// A whole data file.
    pub(super) fn file(id: FileId, size: u64, seal: Option<Seal>) -> Self {
        Self { segments: vec![Segment(Some(id), 0, size, seal)], inline: Bytes::new() }
    }

    /// Whether any of it is sealed.
    pub(super) fn is_sealed(&self) -> bool {
        self.segments.iter().any(|Segment(.., seal)| seal.is_some())
    }

    /// The number of bytes.
    pub(super) fn size(&self) -> u64 {
        self.segments.iter().map(|Segment(_, _, len, _)| len).sum()
    }

    /// The data files it needs, each once.
    pub(super) fn files(&self) -> BTreeSet<FileId> {
        let ids = self.segments.iter().filter_map(|Segment(id, ..)| id.clone());
        ids.collect()
    }

    /// The part of it that lies in `range`.
    pub(super) fn slice(&self, range: &Range<u64>) -> Self {
        let mut segments = Vec::new();
        let mut position = 0;
        for Segment(id, offset, len, seal) in &self.segments {
            let start = range.start.max(position);
            let end = range.end.min(position + len);
            if start < end {
                let offset = offset + (start - position);
                segments.push(Segment(id.clone(), offset, end - start, seal.clone()));
            }
            position += len;
        }
        let mut content = Self::default();
        content.append(&Self { segments, inline: self.inline.clone() });
        content
    }

    /// Puts another content behind this one.
    pub(super) fn append(&mut self, other: &Self) {
        let mut inline = BytesMut::from(&*self.inline);
        for Segment(id, offset, len, seal) in &other.segments {
            if id.is_some() {
                self.segments.push(Segment(id.clone(), *offset, *len, seal.clone()));
                continue;
            }
            let start = inline.len() as u64;
            if let Some(seal) = seal {
                // All of the sequence moves: a piece opens only as a whole.
                inline.extend_from_slice(&other.inline_run(seal.start, seal.stored_size()));
                let mut seal = seal.clone();
                seal.start = start;
                self.segments.push(Segment(None, *offset, *len, Some(seal)));
                continue;
            }
            inline.extend_from_slice(&other.inline_run(*offset, *len));
            self.segments.push(Segment(None, start, *len, None));
        }
        self.inline = inline.freeze();
    }

    /// A run of the inline bytes; a damaged row gives less than it should.
    pub(super) fn inline_run(&self, offset: u64, len: u64) -> Bytes {
        let size = self.inline.len();
        let start = usize::try_from(offset).unwrap_or(size).min(size);
        let len = usize::try_from(len).unwrap_or(size);
        self.inline.slice(start..start.saturating_add(len).min(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, offset: u64, len: u64) -> Segment {
        Segment(Some(FileId::from_row(name.to_owned())), offset, len, None)
    }

    #[test]
    fn slices_cut_segments_at_both_ends() {
        let content = Content {
            segments: vec![file("a", 10, 5), Segment(None, 1, 3, None), file("b", 0, 5)],
            inline: Bytes::from_static(b"-xyz-"),
        };
        assert_eq!(content.size(), 13);
        let slice = content.slice(&(4..10));
        let expected = vec![file("a", 14, 1), Segment(None, 0, 3, None), file("b", 0, 2)];
        assert_eq!(slice.segments, expected);
        assert_eq!(slice.inline, "xyz");
        assert!(content.slice(&(13..20)).segments.is_empty());
    }

    #[test]
    fn appended_inline_bytes_move() {
        let mut content = Content::inline(Bytes::from_static(b"one"));
        content.append(&Content::inline(Bytes::from_static(b"two")));
        assert_eq!(content.inline, "onetwo");
        assert_eq!(content.segments[1], Segment(None, 3, 3, None));
        assert_eq!(content.inline_run(3, 3), "two");
    }
}
