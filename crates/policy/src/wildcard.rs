//! Patterns with `*`: the matcher behind mutability filters.

/// Whether `pattern`, in which `*` stands for any characters, matches the
/// whole of `text`.
///
/// Keeps one backtracking point, so its time is at most `pattern × text` and
/// never exponential, whatever the pattern.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where the last `*` was, and how much text it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                star = Some((at_pattern, at_text));
                at_pattern += 1;
            }
            Some(byte) if text.get(at_text) == Some(byte) => {
                at_pattern += 1;
                at_text += 1;
            }
            _ => {
                let Some((star_pattern, star_text)) = star else { return false };
                star = Some((star_pattern, star_text + 1));
                at_pattern = star_pattern + 1;
                at_text = star_text + 1;
            }
        }
    }
    pattern.iter().skip(at_pattern).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    /// The obvious exponential definition.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                naive(rest, text) || text.split_first().is_some_and(|(_, tail)| naive(pattern, tail))
            }
            (Some((want, rest)), Some((have, tail))) => want == have && naive(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn stays_fast_on_hostile_patterns() {
        assert!(!matches(&format!("{}c", "a*".repeat(64)), &format!("{}b", "a".repeat(128))));
    }
}
