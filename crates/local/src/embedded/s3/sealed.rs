//! Bytes under a data key, such that any part of them can be read.
//!
//! What one request brings, a whole object or one part, is a sequence: pieces
//! of 64 KiB, each sealed with AES-256-GCM under a key that only this sequence
//! has, with its number as the nonce. In two layers (`aws:kms:dsse`) the sealed
//! piece is sealed once more under the second key.
//!
//! Invariant: a key seals one sequence. It is derived from the object's data key
//! and a random salt, so a part that is sent twice is under two keys, and no
//! nonce is used twice.
//! Invariant: a piece is opened whole and checked before a byte of it is sent.

use std::fmt;
use std::ops::Range;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use serde::{Deserialize, Serialize};

use super::files::random_name;

/// How many bytes are sealed at a time.
pub(super) const PIECE: u64 = 64 * 1024;

/// What a layer adds to a piece.
const TAG: u64 = 16;

/// The length of a data key of one layer.
pub(super) const KEY_LEN: usize = 32;

/// How a sequence is sealed, without the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    salt: String,
    layers: u8,
    /// Where the sequence starts in its file or in the row's bytes.
    pub(super) start: u64,
    /// How many bytes it has when it is opened.
    pub(super) size: u64,
}

impl Seal {
    fn overhead(&self) -> u64 {
        TAG * u64::from(self.layers)
    }

    /// The length of a whole piece as it is stored.
    fn stored_piece(&self) -> u64 {
        PIECE + self.overhead()
    }

    /// How many bytes are stored.
    pub(super) fn stored_size(&self) -> u64 {
        self.size + self.size.div_ceil(PIECE) * self.overhead()
    }

    /// Where the pieces with these numbers are stored.
    fn stored_range(&self, pieces: &Range<u64>) -> Range<u64> {
        let end = (pieces.end * self.stored_piece()).min(self.stored_size());
        self.start + pieces.start * self.stored_piece()..self.start + end
    }

    /// What to read in order to get some bytes of the sequence.
    pub(super) fn span(&self, wanted: &Range<u64>) -> Span {
        let pieces = wanted.start / PIECE..wanted.end.div_ceil(PIECE);
        let skipped = wanted.start - pieces.start * PIECE;
        Span { stored: self.stored_range(&pieces), first_piece: pieces.start, skipped, len: wanted.end - wanted.start }
    }
}

/// A run of stored pieces, and the bytes wanted of them.
#[derive(Debug)]
pub(super) struct Span {
    /// Where they are stored.
    pub(super) stored: Range<u64>,
    first_piece: u64,
    /// How many bytes before the wanted ones.
    skipped: u64,
    len: u64,
}

/// The data keys of an object, one for each layer.
#[derive(Clone)]
pub(super) struct DataKeys(Vec<Vec<u8>>);

impl fmt::Debug for DataKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DataKeys")
    }
}

impl DataKeys {
    /// The keys, one behind the other.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.chunks(KEY_LEN).map(<[u8]>::to_vec).collect())
    }

    /// The keys of a new sequence.
    pub(super) fn begin(&self) -> std::io::Result<(Sequence, Seal)> {
        let layers = u8::try_from(self.0.len()).map_err(std::io::Error::other)?;
        let seal = Seal { salt: random_name()?, layers, start: 0, size: 0 };
        Ok((self.sequence(&seal)?, seal))
    }

    /// The keys of a sequence that is there.
    pub(super) fn sequence(&self, seal: &Seal) -> std::io::Result<Sequence> {
        let derive = |key: &Vec<u8>| {
            let secret = Salt::new(HKDF_SHA256, seal.salt.as_bytes()).extract(key);
            let derived = secret.expand(&[b"ironwharf object"], &AES_256_GCM).map_err(|_| damaged())?;
            Ok(LessSafeKey::new(UnboundKey::from(derived)))
        };
        let layers: Vec<_> = self.0.iter().map(derive).collect::<std::io::Result<_>>()?;
        if layers.len() != usize::from(seal.layers) || layers.is_empty() {
            return Err(damaged());
        }
        Ok(Sequence { layers })
    }
}

/// The keys of one sequence, the inner layer first.
#[derive(Debug)]
pub(super) struct Sequence {
    layers: Vec<LessSafeKey>,
}

impl Sequence {
    /// Seals one piece, in place.
    fn seal(&self, number: u64, piece: &mut Vec<u8>) -> std::io::Result<()> {
        for key in &self.layers {
            key.seal_in_place_append_tag(nonce(number), Aad::empty(), piece).map_err(|_| damaged())?;
        }
        Ok(())
    }

    /// Opens one piece, in place; its bytes.
    fn open<'a>(&self, number: u64, piece: &'a mut [u8]) -> std::io::Result<&'a mut [u8]> {
        let mut rest = piece;
        for key in self.layers.iter().rev() {
            rest = key.open_in_place(nonce(number), Aad::empty(), rest).map_err(|_| damaged())?;
        }
        Ok(rest)
    }

    /// Opens what was read of a span; `stored` is used up.
    pub(super) fn read(&self, span: &Span, stored: &mut [u8]) -> std::io::Result<Vec<u8>> {
        let piece = usize::try_from(PIECE + TAG * self.layers.len() as u64).map_err(std::io::Error::other)?;
        let mut opened = Vec::with_capacity(stored.len());
        for (number, piece) in (span.first_piece..).zip(stored.chunks_mut(piece)) {
            opened.extend_from_slice(self.open(number, piece)?);
        }
        opened.drain(..usize::try_from(span.skipped).map_err(std::io::Error::other)?.min(opened.len()));
        let len = usize::try_from(span.len).map_err(std::io::Error::other)?;
        if opened.len() < len {
            return Err(damaged());
        }
        opened.truncate(len);
        Ok(opened)
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    let (_, counter) = bytes.split_at_mut(NONCE_LEN - size_of::<u64>());
    counter.copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn damaged() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "sealed bytes do not open with their key")
}

/// Seals a sequence as its bytes come in.
#[derive(Debug)]
pub(super) struct Sealer {
    sequence: Sequence,
    seal: Seal,
    number: u64,
    waiting: Vec<u8>,
}

impl Sealer {
    /// Starts a new sequence.
    pub(super) fn new(keys: &DataKeys) -> std::io::Result<Self> {
        let (sequence, seal) = keys.begin()?;
        Ok(Self { sequence, seal, number: 0, waiting: Vec::new() })
    }

    /// Takes bytes, and gives `store` each piece that is full.
    pub(super) fn write(
        &mut self,
        mut bytes: &[u8],
        mut store: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let full = usize::try_from(PIECE).map_err(std::io::Error::other)?;
        self.seal.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let count = bytes.len().min(full - self.waiting.len());
            let (now, rest) = bytes.split_at(count);
            self.waiting.extend_from_slice(now);
            bytes = rest;
            if self.waiting.len() == full {
                self.flush(&mut store)?;
            }
        }
        Ok(())
    }

    /// Gives `store` what is left; how the sequence is sealed.
    pub(super) fn finish(mut self, mut store: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<Seal> {
        if !self.waiting.is_empty() {
            self.flush(&mut store)?;
        }
        Ok(self.seal)
    }

    fn flush(&mut self, store: &mut impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        self.sequence.seal(self.number, &mut self.waiting)?;
        self.number += 1;
        store(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(keys: &DataKeys, bytes: &[u8], steps: usize) -> (Vec<u8>, Seal) {
        let mut sealer = Sealer::new(keys).unwrap();
        let mut stored = Vec::new();
        for step in bytes.chunks(steps.max(1)) {
            sealer
                .write(step, |piece| {
                    stored.extend_from_slice(piece);
                    Ok(())
                })
                .unwrap();
        }
        let seal = sealer
            .finish(|piece| {
                stored.extend_from_slice(piece);
                Ok(())
            })
            .unwrap();
        (stored, seal)
    }

    fn read(keys: &DataKeys, seal: &Seal, stored: &[u8], wanted: &Range<u64>) -> std::io::Result<Vec<u8>> {
        let span = seal.span(wanted);
        let (start, end) = (usize::try_from(span.stored.start).unwrap(), usize::try_from(span.stored.end).unwrap());
        keys.sequence(seal).unwrap().read(&span, &mut stored[start..end].to_vec())
    }

    #[test]
    fn any_part_can_be_read() {
        let piece = usize::try_from(PIECE).unwrap();
        for size in [1, 100, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 1, 300_000] {
            for (layers, steps) in [(1, 1000), (2, 70_000), (1, piece), (2, 7)] {
                let keys = DataKeys::new(&vec![7; KEY_LEN * layers]);
                let bytes: Vec<u8> = (0..size).map(|place| u8::try_from(place % 251).unwrap()).collect();
                let (stored, seal) = sealed(&keys, &bytes, steps);
                assert_eq!(seal.stored_size(), stored.len() as u64);
                let edges = [0, 1, piece - 1, piece, piece + 1, 2 * piece, size - 1, size];
                for first in edges {
                    for last in edges {
                        if first < last && last <= size {
                            let part = read(&keys, &seal, &stored, &(first as u64..last as u64)).unwrap();
                            assert!(part == bytes[first..last], "{first}..{last} of {size}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_changed_or_moved_does_not_open() {
        let keys = DataKeys::new(&[7; KEY_LEN]);
        let bytes = vec![1; 200_000];
        let (stored, seal) = sealed(&keys, &bytes, 1000);
        let all = 0..bytes.len() as u64;
        let piece = usize::try_from(seal.stored_piece()).unwrap();
        let mut tampered = stored.clone();
        tampered[100] ^= 1;
        assert!(read(&keys, &seal, &tampered, &all).is_err());
        let mut swapped = stored.clone();
        swapped.rotate_left(piece);
        assert!(read(&keys, &seal, &swapped, &(0..10)).is_err());
        assert!(read(&DataKeys::new(&[8; KEY_LEN]), &seal, &stored, &all).is_err());
        // The same bytes again are under another key.
        assert_ne!(sealed(&keys, &bytes, 1000).0, stored);
        assert!(DataKeys::new(&[7; 2 * KEY_LEN]).sequence(&seal).is_err());
    }
}
