//! Query strings, and the paging of the OCI listings (tags, catalog, referrers).
//!
//! Invariant: a query parameter that appears twice is refused where it is read,
//! so no two layers can disagree on which of the values counts.
//! Invariant: a page never holds more than [`MAX_PAGE`] entries, whatever the
//! client asks for (CVE-2023-2253 was an unbounded `n`).

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The largest page, and the page of a client that names no size.
pub const MAX_PAGE: usize = 1000;

/// Everything but the unreserved characters of RFC 3986, section 2.3; this is
/// also the set that Signature Version 4 encodes in query strings.
pub(crate) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// As [`RESERVED`], but keeps the separators of a path and the colon of a digest.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/').remove(b':');

/// Why a query string or one of its parameters was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the query string has an invalid percent-encoding near '{0}'")]
    Encoding(String),
    /// A parameter that may appear once appeared again.
    #[error("the query parameter '{0}' appears more than once")]
    Duplicate(String),
}

/// A decoded query string.
///
/// A `+` stands for itself (RFC 3986), not for a space as in HTML forms: no
/// value of the registry's API has a space, but media types have a plus sign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'a> {
    parameters: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Parses the part of a URI after the question mark. A parameter without
    /// `=` has an empty value; empty parameters (`a&&b`) do not count.
    pub fn parse(query: &'a str) -> Result<Self, QueryError> {
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        let parameters = parameters.map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            Ok((decode(key)?, decode(value)?))
        });
        Ok(Self { parameters: parameters.collect::<Result<_, QueryError>>()? })
    }

    /// The value of a parameter that may appear at most once. Names are
    /// case-sensitive.
    pub fn one(&self, key: &str) -> Result<Option<&str>, QueryError> {
        let mut values = self.iter().filter(|(name, _)| *name == key).map(|(_, value)| value);
        let first = values.next();
        if values.next().is_some() {
            return Err(QueryError::Duplicate(excerpt(key)));
        }
        Ok(first)
    }

    /// Every value of a parameter that may be repeated, in order.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(name, _)| *name == key).map(|(_, value)| value)
    }

    /// All parameters, decoded, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }
}

/// Decodes strictly. `percent_encoding` alone would let `%zz` stand for itself
/// and so give one value two spellings.
fn decode(text: &str) -> Result<Cow<'_, str>, QueryError> {
    let invalid = || QueryError::Encoding(excerpt(text));
    let mut escapes = text.split('%');
    // What stands before the first percent sign is plain text.
    escapes.next();
    let is_escape = |rest: &str| {
        let mut digits = rest.bytes().take(2).filter(u8::is_ascii_hexdigit);
        digits.next().is_some() && digits.next().is_some()
    };
    if !escapes.all(is_escape) {
        return Err(invalid());
    }
    percent_decode_str(text).decode_utf8().map_err(|_| invalid())
}

/// The part of a client's value that an error message may repeat.
fn excerpt(text: &str) -> String {
    const LIMIT: usize = 64;
    let mut shown: String = text.chars().take(LIMIT).collect();
    if text.chars().nth(LIMIT).is_some() {
        shown.push('…');
    }
    shown
}

/// Why the paging parameters were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PagingError {
    /// The OCI error code `PAGINATION_NUMBER_INVALID` of the Docker registry API.
    #[error("the page size n='{0}' is not a number of results: give a whole number from 0")]
    PaginationNumberInvalid(String),
    /// One of the paging parameters cannot be read.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Which page of a listing a client asks for (OCI Distribution 1.1,
/// "Listing Tags"; the catalog has the same parameters).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    size: Option<usize>,
    /// List what sorts after this value; it need not exist.
    pub last: Option<String>,
}

impl Page {
    /// Reads `n` and `last`. A number above [`MAX_PAGE`], however long, counts
    /// as [`MAX_PAGE`]; `n=0` is an empty page, as the specification says.
    pub fn parse(query: &Query<'_>) -> Result<Self, PagingError> {
        let size = query.one("n")?.map(parse_size).transpose()?;
        let last = query.one("last")?.filter(|last| !last.is_empty()).map(str::to_owned);
        Ok(Self { size, last })
    }

    /// How many entries the page may hold, at most [`MAX_PAGE`].
    #[must_use]
    pub fn limit(&self) -> usize {
        self.size.unwrap_or(MAX_PAGE)
    }

    /// Whether the client asked for no entries at all. Such an answer carries
    /// no `Link`: a client that follows it would never end.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.limit() == 0
    }
}

/// Parses `n` digit by digit: `str::parse` would accept a sign, and its overflow
/// must mean "very many" and not "not a number".
fn parse_size(text: &str) -> Result<usize, PagingError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PagingError::PaginationNumberInvalid(excerpt(text)));
    }
    Ok(text.parse().unwrap_or(MAX_PAGE).min(MAX_PAGE))
}

/// The value of a `Link` header (RFC 8288) to the next page, relative to the
/// host: `</v2/name/tags/list?n=2&last=b>; rel="next"`.
///
/// `path` and `parameters` are plain text, encoded here; the result is visible
/// ASCII whatever they hold, so it is always a valid header value.
#[must_use]
pub fn next_link(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut link = format!("<{}", utf8_percent_encode(path, RESERVED_IN_PATH));
    for (index, (key, value)) in parameters.iter().enumerate() {
        let separator = if index == 0 { '?' } else { '&' };
        let key = utf8_percent_encode(key, RESERVED);
        let value = utf8_percent_encode(value, RESERVED);
        // Writing to a String cannot fail.
        let _ = write!(link, "{separator}{key}={value}");
    }
    link.push_str(">; rel=\"next\"");
    link
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(query: &str) -> Result<Page, PagingError> {
        Page::parse(&Query::parse(query)?)
    }

    #[test]
    fn queries_are_decoded_once() {
        let query = Query::parse("digest=sha256%3Aab&empty=&bare&&x=%2541&a=b=c&t=a+b").unwrap();
        assert_eq!(query.one("digest"), Ok(Some("sha256:ab")));
        assert_eq!(query.one("empty"), Ok(Some("")));
        assert_eq!(query.one("bare"), Ok(Some("")));
        assert_eq!(query.one("x"), Ok(Some("%41")));
        assert_eq!(query.one("a"), Ok(Some("b=c")));
        assert_eq!(query.one("t"), Ok(Some("a+b")));
        assert_eq!(query.one("Digest"), Ok(None));
        assert_eq!(query.iter().count(), 6);
        assert_eq!(Query::parse(""), Ok(Query::default()));
    }

    #[test]
    fn duplicates_are_refused_when_read() {
        let query = Query::parse("digest=a&n=1&di%67est=b").unwrap();
        assert_eq!(query.one("digest"), Err(QueryError::Duplicate("digest".to_owned())));
        assert_eq!(query.one("n"), Ok(Some("1")));
        assert_eq!(query.all("digest").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn bad_encodings_are_refused() {
        for query in ["%", "a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff", "a=%C3", "a=%é", "a=%4é", "%=1", "a=1%2&b=2"] {
            assert!(matches!(Query::parse(query), Err(QueryError::Encoding(_))), "{query}");
        }
    }

    #[test]
    fn page_sizes() {
        assert_eq!(page("").unwrap().limit(), MAX_PAGE);
        assert_eq!(page("n=5&last=v1").unwrap(), Page { size: Some(5), last: Some("v1".to_owned()) });
        assert!(page("n=0").unwrap().is_empty());
        assert!(!page("last=").unwrap().is_empty());
        assert_eq!(page("last=").unwrap().last, None);
        for big in ["n=1000", "n=1001", "n=1000000000", "n=99999999999999999999999999"] {
            assert_eq!(page(big).unwrap().limit(), MAX_PAGE, "{big}");
        }
        assert_eq!(page("n=0000000000000000000000007").unwrap().limit(), 7);
        for (query, value) in
            [("n=-1", "-1"), ("n=", ""), ("n", ""), ("n=a", "a"), ("n=+1", "+1"), ("n=1.5", "1.5"), ("n=%201", " 1")]
        {
            assert_eq!(page(query), Err(PagingError::PaginationNumberInvalid(value.to_owned())));
        }
        assert!(matches!(page("n=1&n=2"), Err(PagingError::Query(QueryError::Duplicate(_)))));
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let message = page(&format!("n={}", "x".repeat(5000))).unwrap_err().to_string();
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn links_are_encoded() {
        assert_eq!(
            next_link("/v2/team/app/tags/list", &[("n", "2"), ("last", "v1.0")]),
            "</v2/team/app/tags/list?n=2&last=v1.0>; rel=\"next\""
        );
        assert_eq!(
            next_link("/v2/a/referrers/sha256:ab", &[("artifactType", "application/x+json")]),
            "</v2/a/referrers/sha256:ab?artifactType=application%2Fx%2Bjson>; rel=\"next\""
        );
        assert_eq!(next_link("/v2/_catalog", &[]), "</v2/_catalog>; rel=\"next\"");
        assert_eq!(next_link("/a>\r\nb", &[("é", "\"")]), "</a%3E%0D%0Ab?%C3%A9=%22>; rel=\"next\"");
    }

    proptest! {
        #[test]
        fn any_text_parses_or_fails(text in ".*") {
            if let Ok(query) = Query::parse(&text) {
                let _ = Page::parse(&query);
            }
        }

        #[test]
        fn links_give_back_their_parameters(key in "\\PC{1,8}", value in ".{0,20}", path in ".{0,20}") {
            let link = next_link(&path, &[(&key, &value)]);
            prop_assert!(link.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            let (_, query) = link.split_once('?').unwrap();
            let query = Query::parse(query.strip_suffix(">; rel=\"next\"").unwrap()).unwrap();
            prop_assert_eq!(query.one(&key), Ok(Some(value.as_str())));
        }
    }
}
