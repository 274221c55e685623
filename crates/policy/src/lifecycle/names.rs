//! Digests in few bytes, for as many images as a repository has.

use ironwharf_model::{Algorithm, Digest};

/// Digests behind each other: one byte for the algorithm, then the hash.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<u8>);

/// Where a digest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u32);

impl Names {
    /// Keeps a digest; `None` if there are too many.
    pub(super) fn keep(&mut self, digest: &Digest) -> Option<Name> {
        let name = Name(u32::try_from(self.0.len()).ok()?);
        self.0.push(match digest.algorithm() {
            Algorithm::Sha256 => 0,
            Algorithm::Sha512 => 1,
        });
        let digits = digest.as_str().bytes().skip(digest.algorithm().as_str().len() + 1);
        let mut high = None;
        for digit in digits.map(value_of) {
            match high.take() {
                None => high = Some(digit << 4),
                Some(high) => self.0.push(high | digit),
            }
        }
        Some(name)
    }

    /// The bytes of a digest: two digests are the same if these are.
    pub(super) fn bytes(&self, name: Name) -> &[u8] {
        let start = usize::try_from(name.0).unwrap_or(usize::MAX);
        let length = if self.0.get(start) == Some(&1) { 65 } else { 33 };
        self.0.get(start..start.saturating_add(length)).unwrap_or_default()
    }

    /// The digest.
    pub(super) fn digest(&self, name: Name) -> Digest {
        let (algorithm, hash) = self.bytes(name).split_first().unwrap_or((&0, &[]));
        let algorithm = if *algorithm == 1 { Algorithm::Sha512 } else { Algorithm::Sha256 };
        Digest::from_hash(algorithm, hash)
    }

    /// How much memory it takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.0.capacity()
    }
}

/// The value of a lower-case hex digit, which is all that a digest has.
const fn value_of(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_come_back() {
        let mut names = Names::default();
        let digests: Vec<Digest> = (0_u8..20)
            .map(|seed| Digest::of(if seed % 3 == 0 { Algorithm::Sha512 } else { Algorithm::Sha256 }, &[seed]))
            .collect();
        let kept: Vec<Name> = digests.iter().map(|digest| names.keep(digest).expect("room")).collect();
        let back: Vec<Digest> = kept.iter().map(|name| names.digest(*name)).collect();
        assert_eq!(back, digests);
    }
}
