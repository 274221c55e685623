//! Where the statements stand in the text of a document.
//!
//! Invariant: only called on text that is JSON; on anything else the result is
//! useless, but there is one.

use std::iter::Peekable;
use std::str::CharIndices;

/// A place in a text. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// From the first character to the one behind the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where the statement starts.
    pub start: Position,
    /// Right behind its end.
    pub end: Position,
}

struct Cursor<'a> {
    text: &'a str,
    characters: Peekable<CharIndices<'a>>,
    at: Position,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<(usize, char)> {
        let (index, character) = self.characters.next()?;
        if character == '\n' {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some((index, character))
    }

    /// Reads to the end of a string that starts at `start`.
    fn string(&mut self, start: usize) -> Option<String> {
        loop {
            match self.next()? {
                (_, '\\') => {
                    self.next()?;
                }
                (end, '"') => return serde_json::from_str(self.text.get(start..=end)?).ok(),
                _ => {}
            }
        }
    }
}

/// The spans of the statements, in their order.
pub(super) fn of_statements(text: &str) -> Vec<Span> {
    let mut cursor = Cursor { text, characters: text.char_indices().peekable(), at: Position { line: 1, column: 1 } };
    let mut spans = Vec::new();
    let mut depth = 0_usize;
    let mut key = None;
    let mut is_value = false;
    // Depth around the statements: 1 for a single one, 2 for those in an array.
    let mut around = 1;
    let mut start = Position::default();
    loop {
        let before = cursor.at;
        let Some((index, character)) = cursor.next() else { return spans };
        let in_statements = is_value && key.as_deref() == Some("Statement");
        match character {
            '"' => {
                let string = cursor.string(index);
                if depth == 1 && !is_value {
                    key = string;
                }
            }
            ':' if depth == 1 => is_value = true,
            ',' if depth == 1 => is_value = false,
            '{' | '[' => {
                if depth == 1 {
                    around = if character == '[' { 2 } else { 1 };
                }
                if in_statements && depth == around {
                    start = before;
                }
                depth += 1;
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if in_statements && depth == around && character == '}' {
                    spans.push(Span { start, end: cursor.at });
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_where_they_stand() {
        let text = "{ \"Version\":\"2012-10-17\",\n \"\\u0053tatement\": [ {\"Sid\":\"é}\\\"\",\"Condition\":{}},\n  {} ] ,\"Id\":\"{\"}";
        let place = |line, column| Position { line, column };
        assert_eq!(
            of_statements(text),
            [Span { start: place(2, 22), end: place(2, 51) }, Span { start: place(3, 3), end: place(3, 5) }]
        );
        assert_eq!(of_statements("{\"Statement\":{}}"), [Span { start: place(1, 14), end: place(1, 16) }]);
        assert_eq!(of_statements("{\"Statement\":[[{}]],\"Other\":[{}]}"), []);
    }
}
