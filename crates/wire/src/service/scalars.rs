//! Scalars whose JSON form is not that of their Rust type.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Standard base64 with padding. Bits behind the last byte are ignored, as
/// most decoders do; `check` counts on it when it judges a text by its
/// alphabet and length alone.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Bytes, in JSON a base64 text.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Blob(pub Vec<u8>);

impl Blob {
    /// The number of bytes that a base64 text stands for, without decoding
    /// it; `None` if the text is not base64.
    #[must_use]
    pub fn decoded_length(text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let padding = bytes.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
        let digits = bytes.get(..bytes.len() - padding)?;
        let plain = digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
        (plain && bytes.len().is_multiple_of(4)).then(|| bytes.len() / 4 * 3 - padding)
    }
}

impl fmt::Debug for Blob {
    /// Only the size: a layer part has no place in a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Blob({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64Text;
        impl Visitor<'_> for Base64Text {
            type Value = Blob;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a base64 text")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Blob, E> {
                BASE64.decode(text).map(Blob).map_err(|_| E::custom("expected a base64 text"))
            }
        }
        deserializer.deserialize_str(Base64Text)
    }
}

/// A point in time, in JSON the seconds since the epoch with a fraction.
///
/// Held in milliseconds, the precision of the API, so that equal times are
/// equal values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time `milliseconds` after the epoch.
    #[must_use]
    pub const fn from_epoch_millis(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn epoch_millis(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, as written on the wire.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds are exact in an f64 for 285,000 years around the epoch"
    )]
    pub fn epoch_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.epoch_seconds())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // 2^53: beyond it milliseconds are not exact any more.
        const LARGEST: f64 = 9_007_199_254_740_992.0;
        let milliseconds = (f64::deserialize(deserializer)? * 1000.0).round();
        if milliseconds.abs() > LARGEST {
            return Err(D::Error::custom("timestamp out of range"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "in range and without a fraction")]
        Ok(Self(milliseconds as i64))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_keep_milliseconds() {
        let time = Timestamp::from_epoch_millis(1_700_000_000_123);
        assert_eq!(serde_json::to_string(&time).unwrap(), "1700000000.123");
        assert_eq!(serde_json::from_str::<Timestamp>("1700000000.123").unwrap(), time);
        assert_eq!(serde_json::from_str::<Timestamp>("17").unwrap().epoch_millis(), 17_000);
        assert!(serde_json::from_str::<Timestamp>("1e300").is_err());
    }

    #[test]
    fn blobs_are_base64() {
        let blob = Blob(b"layer".to_vec());
        assert_eq!(serde_json::to_string(&blob).unwrap(), r#""bGF5ZXI=""#);
        assert_eq!(serde_json::from_str::<Blob>(r#""bGF5ZXI=""#).unwrap(), blob);
        assert_eq!(format!("{blob:?}"), "Blob(5 bytes)");
    }

    proptest! {
        #[test]
        fn times_round_trip(milliseconds in -9_007_199_254_740_i64..9_007_199_254_740) {
            let time = Timestamp::from_epoch_millis(milliseconds);
            let text = serde_json::to_string(&time).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), time);
        }

        #[test]
        fn length_and_decoder_agree(text in "[A-Za-c+/=-]{0,12}") {
            let decoded = BASE64.decode(&text).ok().map(|bytes| bytes.len());
            prop_assert_eq!(Blob::decoded_length(&text), decoded);
        }
    }
}
