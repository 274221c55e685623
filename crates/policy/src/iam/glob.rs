//! Matching text against literal pieces and wildcards.
//!
//! Invariant: a piece of text is only ever compared, never read as a pattern.
//! Invariant: time is linear in pattern and text, times one plus the number of
//! `?` in the pattern.

/// One piece of a pattern whose variables have their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// `?`: exactly one character.
    One,
    /// `*`: any number of characters.
    Many,
}

/// Whether the pieces match the whole of `text`.
///
/// Everything between two `*` has a fixed number of characters, so taking the
/// first occurrence of each is enough: there is nothing to go back to.
pub(super) fn matches(pieces: &[Piece<'_>], text: &str) -> bool {
    let mut runs = pieces.split(|piece| *piece == Piece::Many);
    let Some(mut rest) = runs.next().and_then(|run| after_prefix(run, text)) else { return false };
    let mut runs = runs.peekable();
    if runs.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(run) = runs.next() {
        if runs.peek().is_none() {
            return is_suffix(run, rest);
        }
        let Some(after) = after_first(run, rest) else { return false };
        rest = after;
    }
    true
}

/// What follows `run` at the start of `text`.
fn after_prefix<'t>(run: &[Piece<'_>], text: &'t str) -> Option<&'t str> {
    run.iter().try_fold(text, |rest, piece| match piece {
        Piece::Text(literal) => rest.strip_prefix(literal),
        Piece::One | Piece::Many => {
            let mut characters = rest.chars();
            characters.next().map(|_| characters.as_str())
        }
    })
}

/// Whether `text` ends with `run`.
fn is_suffix(run: &[Piece<'_>], text: &str) -> bool {
    let rest = run.iter().rev().try_fold(text, |rest, piece| match piece {
        Piece::Text(literal) => rest.strip_suffix(literal),
        Piece::One | Piece::Many => {
            let mut characters = rest.chars();
            characters.next_back().map(|_| characters.as_str())
        }
    });
    rest.is_some()
}

/// What follows the first occurrence of `run` in `text`.
fn after_first<'t>(run: &[Piece<'_>], text: &'t str) -> Option<&'t str> {
    match run {
        [] => Some(text),
        [Piece::Text(literal)] => {
            let mut characters = literal.chars();
            match (characters.next(), characters.next()) {
                // Much faster than looking for a text of one character.
                (Some(character), None) => text.split_once(character).map(|(_, after)| after),
                _ => text.split_once(literal).map(|(_, after)| after),
            }
        }
        _ => {
            let mut characters = text.chars();
            loop {
                if let Some(after) = after_prefix(run, characters.as_str()) {
                    return Some(after);
                }
                characters.next()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The obvious exponential definition.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => naive(rest, text),
            (Some(('*', rest)), Some((_, tail))) => naive(rest, text) || naive(pattern, tail),
            (Some((want, rest)), Some((have, tail))) => (*want == '?' || want == have) && naive(rest, tail),
            _ => false,
        }
    }

    fn pieces(pattern: &str) -> Vec<Piece<'_>> {
        pattern
            .split_inclusive(['*', '?'])
            .flat_map(|part| match (part.strip_suffix('*'), part.strip_suffix('?')) {
                (Some(text), _) => vec![Piece::Text(text), Piece::Many],
                (_, Some(text)) => vec![Piece::Text(text), Piece::One],
                _ => vec![Piece::Text(part)],
            })
            .filter(|piece| *piece != Piece::Text(""))
            .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[abé*?]{0,9}", text in "[abé]{0,10}") {
            let [wanted, given] = [&pattern, &text].map(|text| text.chars().collect::<Vec<_>>());
            prop_assert_eq!(matches(&pieces(&pattern), &text), naive(&wanted, &given));
        }
    }
}
