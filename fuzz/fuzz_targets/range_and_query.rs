//! Ranges stay within the blob, pages within their limit, and a link gives back
//! what was put into it.
#![no_main]

use ironwharf_wire::paging::{MAX_PAGE, Page, Query, next_link};
use ironwharf_wire::range::{Requested, parse_content_range, parse_range};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    // Three lines: the length of the blob, a header, a query.
    let mut lines = input.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (total, header, query) = (next(), next(), next());
    let total = total.parse().unwrap_or(10);
    if let Requested::Part(range) = parse_range(header, total) {
        assert!(range.first() <= range.last() && range.last() < total && range.len() <= total);
    }
    if let Ok(range) = parse_content_range(header) {
        assert!(range.first() <= range.last() && range.len() >= 1);
        assert_eq!(parse_content_range(&range.to_string()), Ok(range));
    }

    let Ok(query) = Query::parse(query) else { return };
    if let Ok(page) = Page::parse(&query) {
        assert!(page.limit() <= MAX_PAGE);
    }
    let parameters: Vec<_> = query.iter().collect();
    let link = next_link(header, &parameters);
    assert!(link.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
    let encoded = link.split_once('?').map_or("", |(_, rest)| rest.trim_end_matches(">; rel=\"next\""));
    assert_eq!(Query::parse(encoded).as_ref(), Ok(&query));
});
