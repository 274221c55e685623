//! Dates of the Date operators.
//!
//! Invariant: a date without a zone is midnight UTC or refused; the machine's
//! zone is never asked.

use time::{Date as Day, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// An instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Date(i128);

impl Date {
    /// Reads one of the W3C forms of ISO 8601 (`2026`, `2026-01`, `2026-01-31`,
    /// `2026-01-31T10:20Z`, with seconds, fractions, offsets) or seconds since
    /// 1970. (IAM User Guide: Condition operators, "Date condition operators".)
    ///
    /// Four digits are a year in one form and seconds in the other; they are
    /// read as a year, the only one of the two that anybody writes.
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        if !(4..=64).contains(&text.len()) && !is_digits(text) {
            return None;
        }
        if text.len() != 4 && text.len() <= 12 && is_digits(text) {
            return text.parse::<i128>().ok().map(|seconds| Self(seconds * 1_000_000_000));
        }
        let (day, moment) = match text.split_once('T') {
            None => (text, None),
            Some((day, moment)) => (day, Some(moment)),
        };
        let (time, offset) = match moment {
            None => (Time::MIDNIGHT, UtcOffset::UTC),
            // A time needs a whole day before it.
            Some(_) if day.len() != 10 => return None,
            Some(moment) => zoned(moment)?,
        };
        let instant: OffsetDateTime = PrimitiveDateTime::new(parse_day(day)?, time).assume_offset(offset);
        Some(Self(instant.unix_timestamp_nanos()))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number of exactly `width` digits.
fn number<T: std::str::FromStr>(text: &str, width: usize) -> Option<T> {
    (text.len() == width && is_digits(text)).then(|| text.parse().ok())?
}

fn parse_day(text: &str) -> Option<Day> {
    let mut parts = text.splitn(3, '-');
    let year: i32 = number(parts.next()?, 4)?;
    let month: u8 = parts.next().map_or(Some(1), |month| number(month, 2))?;
    let day: u8 = parts.next().map_or(Some(1), |day| number(day, 2))?;
    Day::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

/// A time of day with its zone: `10:20Z`, `10:20:30.5+01:00`.
fn zoned(text: &str) -> Option<(Time, UtcOffset)> {
    if let Some(time) = text.strip_suffix('Z') {
        return Some((parse_time(time)?, UtcOffset::UTC));
    }
    let (time, sign, zone) = match (text.split_once('+'), text.split_once('-')) {
        (Some((time, zone)), None) => (time, 1, zone),
        (None, Some((time, zone))) => (time, -1, zone),
        _ => return None,
    };
    let (hours, minutes) = zone.split_once(':')?;
    let (hours, minutes): (i8, i8) = (number(hours, 2)?, number(minutes, 2)?);
    let offset = UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()?;
    Some((parse_time(time)?, offset))
}

fn parse_time(text: &str) -> Option<Time> {
    let mut parts = text.splitn(3, ':');
    let hour: u8 = number(parts.next()?, 2)?;
    let minute: u8 = number(parts.next()?, 2)?;
    let (second, nanosecond) = match parts.next() {
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (number(seconds, 2)?, 0),
            Some((second, fraction)) if is_digits(fraction) && fraction.len() <= 9 => {
                (number(second, 2)?, format!("{fraction:0<9}").parse().ok()?)
            }
            Some(_) => return None,
        },
    };
    Time::from_hms_nano(hour, minute, second, nanosecond).ok()
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn all_forms_are_the_same_instant() {
        let expected = Date::parse("1577836800").unwrap();
        for text in [
            "2020",
            "2020-01",
            "2020-01-01",
            "2020-01-01T00:00Z",
            "2020-01-01T00:00:00Z",
            "2020-01-01T00:00:00.000Z",
            "2020-01-01T01:30:00+01:30",
            "2019-12-31T19:00:00-05:00",
        ] {
            assert_eq!(Date::parse(text), Some(expected), "{text}");
        }
        assert!(Date::parse("2020-01-01T00:00:00.5Z").unwrap() > expected);
        assert!(Date::parse("0") < Date::parse("1"));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "now",
            "20200101T000000Z",
            "2020-1-1",
            "2020-13-01",
            "2020-02-30",
            "2020-01T00:00Z",
            "2020-01-01T00:00",
            "2020-01-01T24:00Z",
            "2020-01-01T00:00:60Z",
            "2020-01-01 00:00Z",
            "-5",
            "1.5",
            "1e9",
            "2020-01-01T00:00+1",
            "2020-01-01T00:00:00.0000000000Z",
            "9999999999999",
            "2020-01-01T00:00+99:00",
            "٢٠٢٠",
        ] {
            assert_eq!(Date::parse(text), None, "{text:?}");
        }
    }
}
