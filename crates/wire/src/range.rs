//! The two byte ranges of the registry API: `Range` on a blob GET (RFC 9110,
//! section 14) and `Content-Range` on an upload PATCH (OCI Distribution 1.1,
//! "Pushing a blob in chunks").
//!
//! Invariant: all arithmetic is total; a number of any length is answered.
//! Invariant: a range that comes out is within bounds: `first <= last`, and for
//! a download `last` is less than the length of the blob.

use std::fmt;

/// An inclusive range of bytes.
///
/// Invariant: `first <= last < u64::MAX`, so that its length is a `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

impl ByteRange {
    /// `None` if the range is backwards or longer than a `u64` can say.
    #[must_use]
    pub const fn new(first: u64, last: u64) -> Option<Self> {
        if first <= last && last < u64::MAX { Some(Self { first, last }) } else { None }
    }

    /// The first byte.
    #[must_use]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// The last byte, which belongs to the range.
    #[must_use]
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many bytes the range holds: at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an inclusive range is never empty")]
    pub const fn len(self) -> u64 {
        // Cannot overflow: the invariant of the type.
        self.last - self.first + 1
    }

    /// The `Content-Range` of a 206 answer from a blob of `total` bytes
    /// (RFC 9110, section 14.4).
    #[must_use]
    pub fn content_range(self, total: u64) -> String {
        format!("bytes {self}/{total}")
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.first, self.last)
    }
}

/// What a `Range` header means for a blob of a known length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requested {
    /// Answer 200 with the whole blob, as if the header were not there.
    Whole,
    /// Answer 206 with these bytes.
    Part(ByteRange),
    /// Answer 416 with [`unsatisfiable_content_range`].
    Unsatisfiable,
}

/// Reads a `Range` header for a blob of `total` bytes (RFC 9110, section 14.1.2).
///
/// Invalid syntax, another unit than bytes and more than one range all mean
/// [`Requested::Whole`]: section 14.2 allows a server to ignore the field, and
/// several parts in one answer would only multiply the bytes served.
#[must_use]
pub fn parse_range(header: &str, total: u64) -> Requested {
    let Some(specification) = single_range(header) else {
        return Requested::Whole;
    };
    let Some((first, last)) = specification.split_once('-') else {
        return Requested::Whole;
    };
    let (first, last) = match (parse_position(first), parse_position(last)) {
        (Position::Number(first), Position::Number(last)) => (first, last),
        (Position::Number(first), Position::Absent) => (first, u64::MAX),
        (Position::Absent, Position::Number(length)) => return suffix(length, total),
        _ => return Requested::Whole,
    };
    if first > last {
        return Requested::Whole;
    }
    match total.checked_sub(1) {
        Some(end) if first <= end => {
            ByteRange::new(first, last.min(end)).map_or(Requested::Unsatisfiable, Requested::Part)
        }
        _ => Requested::Unsatisfiable,
    }
}

/// A `Range` header in its plainest form, for a service that reads no other:
/// `None` if [`parse_range`] would ignore it, whatever the length of the blob.
#[must_use]
pub fn plain_range(header: &str) -> Option<String> {
    /// Beyond what any object has, and within what any service reads.
    const LIMIT: u64 = i64::MAX.unsigned_abs();
    let (first, last) = single_range(header)?.split_once('-')?;
    match (parse_position(first), parse_position(last)) {
        (Position::Number(first), Position::Number(last)) if first <= last => {
            Some(format!("bytes={}-{}", first.min(LIMIT), last.min(LIMIT)))
        }
        (Position::Number(first), Position::Absent) => Some(format!("bytes={}-", first.min(LIMIT))),
        (Position::Absent, Position::Number(length)) => Some(format!("bytes=-{}", length.min(LIMIT))),
        _ => None,
    }
}

/// The only member of the range set, without the optional white space and empty
/// list elements that RFC 9110, section 5.6.1, asks a recipient to skip.
fn single_range(header: &str) -> Option<&str> {
    let (unit, set) = header.trim_matches([' ', '\t']).split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut ranges = set.split(',').map(|range| range.trim_matches([' ', '\t'])).filter(|range| !range.is_empty());
    let range = ranges.next()?;
    ranges.next().is_none().then_some(range)
}

/// The last `length` bytes.
fn suffix(length: u64, total: u64) -> Requested {
    if length == 0 {
        return Requested::Unsatisfiable;
    }
    // Satisfiable by definition, but no `Content-Range` can express "the last
    // bytes of nothing": the empty blob is sent whole.
    let Some(end) = total.checked_sub(1) else {
        return Requested::Whole;
    };
    ByteRange::new(total.saturating_sub(length), end).map_or(Requested::Unsatisfiable, Requested::Part)
}

/// The `Content-Range` of a 416 answer for a blob of `total` bytes
/// (RFC 9110, section 14.4).
#[must_use]
pub fn unsatisfiable_content_range(total: u64) -> String {
    format!("bytes */{total}")
}

/// Why the `Content-Range` of an upload was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentRangeError {
    /// Not `first-last`.
    #[error("Content-Range must be '<first byte>-<last byte>', such as 0-1023")]
    Syntax,
    /// The last byte comes before the first, or after the stated total.
    #[error("Content-Range has its last byte before the first or beyond the stated total")]
    Order,
    /// A number that no upload reaches.
    #[error("Content-Range is too large")]
    TooLarge,
}

/// Reads the `Content-Range` of a PATCH: `first-last`, without a unit (OCI
/// Distribution 1.1, "Pushing a blob in chunks"). The form of RFC 9110,
/// `bytes first-last/total`, is accepted too, because HTTP libraries write it.
pub fn parse_content_range(header: &str) -> Result<ByteRange, ContentRangeError> {
    let header = header.trim_matches([' ', '\t']);
    let (range, total) = match header.split_once(' ') {
        Some((unit, range)) if unit.eq_ignore_ascii_case("bytes") => match range.split_once('/') {
            Some((range, "*")) => (range, None),
            Some((range, total)) => (range, Some(parse_number(total)?)),
            None => return Err(ContentRangeError::Syntax),
        },
        Some(_) => return Err(ContentRangeError::Syntax),
        None => (header, None),
    };
    let (first, last) = range.split_once('-').ok_or(ContentRangeError::Syntax)?;
    let (first, last) = (parse_number(first)?, parse_number(last)?);
    if first > last || total.is_some_and(|total| last >= total) {
        return Err(ContentRangeError::Order);
    }
    ByteRange::new(first, last).ok_or(ContentRangeError::TooLarge)
}

/// The `Range` that tells a client how many bytes of its upload are stored:
/// `0-<n-1>`. Nothing stored yet is `0-0` as well: clients fail on any other
/// form, and none resumes from it.
#[must_use]
pub fn upload_range(stored: u64) -> String {
    format!("0-{}", stored.saturating_sub(1))
}

fn parse_number(text: &str) -> Result<u64, ContentRangeError> {
    match parse_position(text) {
        Position::Number(u64::MAX) => Err(ContentRangeError::TooLarge),
        Position::Number(number) => Ok(number),
        Position::Absent | Position::Invalid => Err(ContentRangeError::Syntax),
    }
}

enum Position {
    Absent,
    /// Saturated at `u64::MAX`.
    Number(u64),
    Invalid,
}

/// `str::parse` alone would accept a plus sign and call a long number invalid.
fn parse_position(text: &str) -> Position {
    if text.is_empty() {
        return Position::Absent;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Position::Invalid;
    }
    Position::Number(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HUGE: &str = "99999999999999999999999999";

    fn part(first: u64, last: u64) -> Requested {
        Requested::Part(ByteRange::new(first, last).unwrap())
    }

    #[test]
    fn satisfiable_ranges() {
        for (header, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=0-4", 0, 4),
            ("bytes=5-", 5, 9),
            ("bytes=9-9", 9, 9),
            ("bytes=8-100", 8, 9),
            ("bytes=-1", 9, 9),
            ("bytes=-10", 0, 9),
            ("bytes=-11", 0, 9),
            ("BYTES= 0-1 ", 0, 1),
            ("bytes=,0-1, ,", 0, 1),
            ("bytes=0002-03", 2, 3),
        ] {
            assert_eq!(parse_range(header, 10), part(first, last), "{header}");
        }
        assert_eq!(parse_range(&format!("bytes=3-{HUGE}"), 10), part(3, 9));
        assert_eq!(parse_range(&format!("bytes=-{HUGE}"), 10), part(0, 9));
    }

    #[test]
    fn unsatisfiable_ranges() {
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0", &format!("bytes={HUGE}-")] {
            assert_eq!(parse_range(header, 10), Requested::Unsatisfiable, "{header}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Requested::Unsatisfiable);
        assert_eq!(parse_range("bytes=-5", 0), Requested::Whole);
        assert_eq!(unsatisfiable_content_range(10), "bytes */10");
    }

    #[test]
    fn other_headers_are_ignored() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=2-1",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "bytes=0--1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes 0-1",
            "items=0-1",
            "bytes=0 - 1",
            "bytes=0x1-2",
            "bytes==0-1",
            "bytes=٣-٤",
        ] {
            assert_eq!(parse_range(header, 10), Requested::Whole, "{header}");
        }
    }

    #[test]
    fn upload_ranges() {
        let parsed = |header| parse_content_range(header).map(|range| (range.first(), range.last(), range.len()));
        assert_eq!(parsed("0-0"), Ok((0, 0, 1)));
        assert_eq!(parsed("1048576-2097151"), Ok((1_048_576, 2_097_151, 1_048_576)));
        assert_eq!(parsed("bytes 3-5/10"), Ok((3, 5, 3)));
        assert_eq!(parsed("Bytes 3-5/*"), Ok((3, 5, 3)));
        for header in [
            "",
            "-",
            "5",
            "0-",
            "-5",
            "a-b",
            "0-1-2",
            "+0-1",
            "0 - 1",
            "bytes=0-1",
            "bytes 0-1",
            "bytes */5",
            "items 0-1/2",
            "0-1/2",
            "0--1",
        ] {
            assert_eq!(parse_content_range(header), Err(ContentRangeError::Syntax), "{header}");
        }
        for header in ["5-4", "bytes 0-10/10"] {
            assert_eq!(parse_content_range(header), Err(ContentRangeError::Order), "{header}");
        }
        for header in
            [format!("0-{HUGE}"), format!("0-{}", u64::MAX), format!("{HUGE}-{HUGE}"), format!("bytes 0-1/{HUGE}")]
        {
            assert_eq!(parse_content_range(&header), Err(ContentRangeError::TooLarge), "{header}");
        }
        assert_eq!(parsed(&format!("0-{}", u64::MAX - 1)), Ok((0, u64::MAX - 1, u64::MAX)));
    }

    #[test]
    fn answers_are_formatted() {
        assert_eq!(upload_range(0), "0-0");
        assert_eq!(upload_range(1), "0-0");
        assert_eq!(upload_range(1024), "0-1023");
        assert_eq!(ByteRange::new(2, 3).unwrap().content_range(9), "bytes 2-3/9");
    }

    #[test]
    fn a_plain_range_means_the_same() {
        for (header, plain) in [
            ("BYTES= 00-1 ", Some("bytes=0-1")),
            ("bytes=,5-, ,", Some("bytes=5-")),
            ("bytes=-0", Some("bytes=-0")),
            ("bytes=2-1", None),
            ("bytes=0-1,3-4", None),
            ("items=0-1", None),
        ] {
            assert_eq!(plain_range(header).as_deref(), plain, "{header}");
        }
        assert_eq!(plain_range(&format!("bytes={HUGE}-")).unwrap(), format!("bytes={}-", i64::MAX));
    }

    proptest! {
        #[test]
        fn a_plain_range_is_read_as_its_origin(header in "bytes=[0-9,-]{0,24}", total in 0..i64::MAX.unsigned_abs()) {
            let plain = plain_range(&header).map_or(Requested::Whole, |plain| parse_range(&plain, total));
            prop_assert_eq!(plain, parse_range(&header, total));
        }

        #[test]
        fn any_text_is_answered(header in "(bytes[= ])?[0-9,/* -]{0,50}|.*", total in any::<u64>()) {
            if let Requested::Part(range) = parse_range(&header, total) {
                prop_assert!(range.first() <= range.last() && range.last() < total);
            }
            let _ = parse_content_range(&header).map(ByteRange::len);
        }

        #[test]
        fn an_upload_range_is_read_back(first in any::<u64>(), length in 1..u64::MAX) {
            if let Some(range) = first.checked_add(length - 1).and_then(|last| ByteRange::new(first, last)) {
                prop_assert_eq!(parse_content_range(&range.to_string()), Ok(range));
                prop_assert_eq!(range.len(), length);
            }
        }
    }
}
