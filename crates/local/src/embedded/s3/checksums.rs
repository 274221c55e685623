//! The checksums a client claims, and the ones we compute because it does.
//!
//! Invariant: a body without a claim is not hashed at all. The registry hashes
//! every layer itself, and hashing twice is what makes an upload slow.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::{S3Result, TrailingHeaders, s3_error};
use serde::{Deserialize, Serialize};

/// The algorithms of `x-amz-checksum-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha1, Self::Sha256];

    fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The algorithm that `x-amz-sdk-checksum-algorithm` names.
    fn named(name: &str) -> Option<Self> {
        let suffix = name.to_ascii_lowercase();
        let is_named = |algorithm: &Self| algorithm.header().strip_prefix("x-amz-checksum-") == Some(&suffix);
        Self::ALL.into_iter().find(is_named)
    }
}

/// Checksums in base64, as they travel.
pub(super) type Checksums = BTreeMap<Algorithm, String>;

/// What a request says about its body.
#[derive(Debug, Default)]
pub(super) struct Claims {
    claimed: Checksums,
    /// Announced for the trailer, or asked for without a claim.
    wanted: Vec<Algorithm>,
    md5: Option<String>,
}

impl Claims {
    /// Reads the claims of a request that carries a body.
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let trailers = text("x-amz-trailer").unwrap_or_default();
        let requested = text("x-amz-sdk-checksum-algorithm").and_then(Algorithm::named);
        let mut claims = Self { md5: text("content-md5").map(str::to_owned), ..Self::default() };
        for algorithm in Algorithm::ALL {
            if let Some(value) = text(algorithm.header()) {
                claims.claimed.insert(algorithm, value.to_owned());
            }
            let is_announced = trailers.split(',').any(|name| name.trim().eq_ignore_ascii_case(algorithm.header()));
            if is_announced || requested == Some(algorithm) {
                claims.wanted.push(algorithm);
            }
        }
        claims
    }

    /// What has to run over the body.
    pub(super) fn hasher(&self) -> Hasher {
        let wants = |algorithm| self.claimed.contains_key(&algorithm) || self.wanted.contains(&algorithm);
        Hasher {
            sums: ChecksumHasher {
                crc32: wants(Algorithm::Crc32).then(Crc32::new),
                crc32c: wants(Algorithm::Crc32c).then(Crc32c::new),
                crc64nvme: wants(Algorithm::Crc64nvme).then(Crc64Nvme::new),
                sha1: wants(Algorithm::Sha1).then(Sha1::new),
                sha256: wants(Algorithm::Sha256).then(Sha256::new),
            },
            md5: self.md5.is_some().then(Md5::new),
        }
    }

    /// Compares the claims, also those that came after the body, with the truth.
    pub(super) fn verify(mut self, computed: Computed, trailers: Option<&TrailingHeaders>) -> S3Result<Checksums> {
        if let Some(trailers) = trailers.and_then(TrailingHeaders::take) {
            for algorithm in Algorithm::ALL {
                let value = trailers.get(algorithm.header());
                if let Some(value) = value.and_then(|value| value.to_str().ok()) {
                    self.claimed.insert(algorithm, value.to_owned());
                }
            }
        }
        for (algorithm, claim) in &self.claimed {
            if computed.sums.get(algorithm) != Some(claim) {
                return Err(s3_error!(
                    BadDigest,
                    "The {algorithm:?} you specified did not match the calculated checksum."
                ));
            }
        }
        if self.md5 != computed.md5 {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
        Ok(computed.sums)
    }
}

/// Runs over a body once.
pub(super) struct Hasher {
    sums: ChecksumHasher,
    md5: Option<Md5>,
}

/// What a [`Hasher`] found.
#[derive(Debug, Default)]
pub(super) struct Computed {
    sums: Checksums,
    md5: Option<String>,
}

impl Hasher {
    /// Takes the next piece of the body.
    pub(super) fn update(&mut self, data: &[u8]) {
        self.sums.update(data);
        if let Some(md5) = &mut self.md5 {
            md5.update(data);
        }
    }

    /// The checksums of everything.
    pub(super) fn finish(self) -> Computed {
        let sums = self.sums.finalize();
        let named = [
            (Algorithm::Crc32, sums.checksum_crc32),
            (Algorithm::Crc32c, sums.checksum_crc32c),
            (Algorithm::Crc64nvme, sums.checksum_crc64nvme),
            (Algorithm::Sha1, sums.checksum_sha1),
            (Algorithm::Sha256, sums.checksum_sha256),
        ];
        Computed {
            sums: named.into_iter().filter_map(|(algorithm, sum)| Some((algorithm, sum?))).collect(),
            md5: self.md5.map(|md5| BASE64_STANDARD.encode(md5.finalize())),
        }
    }
}
