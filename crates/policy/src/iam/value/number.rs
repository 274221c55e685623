//! Decimal numbers of the Numeric operators.
//!
//! Invariant: compared exactly, up to 18 digits on either side of the point.

/// A decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Number(i128);

const DIGITS: usize = 18;

impl Number {
    /// Reads `-12.5`; no exponents, no spaces.
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (digits, ""),
        };
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > DIGITS || fraction.len() > DIGITS || !all_digits {
            return None;
        }
        let scaled: i128 = format!("{whole}{fraction:0<DIGITS$}").parse().ok()?;
        Some(Self(if negative { -scaled } else { scaled }))
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    #[test]
    fn decimals_compare_exactly() {
        let number = |text| Number::parse(text).unwrap();
        assert!(number("0.1") < number("0.10000000000000001"));
        assert!(number("9007199254740993") > number("9007199254740992"));
        assert_eq!(number("1.50"), number("1.5"));
        assert_eq!(number("-0"), number("0"));
        assert!(number("-2") < number("-1.5"));
        for bad in ["", "-", "1.", ".5", "1e3", " 1", "+1", "0x1", "1,5", "1234567890123456789", "٣", "NaN"] {
            assert_eq!(Number::parse(bad), None, "{bad:?}");
        }
    }
}
