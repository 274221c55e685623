//! Text of a policy with wildcards and variables.
//!
//! Invariant: a variable's value is literal text. It is never a pattern, and
//! never split.
//! Invariant: a variable without exactly one value resolves to nothing; it is
//! not an empty string.

use ironwharf_model::error::quoted;

use super::context::{Context, ContextValue};
use super::glob::{self, Piece};
use super::limits::MAX_VALUE;
use super::malformed::MalformedPolicy;
use super::truth::Truth;

/// What has a meaning of its own in a text.
#[derive(Clone, Copy)]
pub(super) struct Syntax {
    /// `${key}`, from version 2012-10-17 on.
    pub(super) variables: bool,
    /// `*` and `?`.
    pub(super) wildcards: bool,
}

/// A compiled text.
#[derive(Clone, Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    One,
    Many,
    Variable { key: VariableKey, default: Option<String> },
}

/// The name of a context key, as written and folded for looking up.
#[derive(Clone, Debug)]
pub(super) struct VariableKey {
    pub(super) written: String,
    pub(super) folded: String,
}

impl VariableKey {
    pub(super) fn new(written: &str) -> Self {
        Self { written: written.to_owned(), folded: written.to_lowercase() }
    }
}

impl Template {
    /// Compiles `text`. (IAM User Guide: Variables and tags.)
    pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Self, MalformedPolicy> {
        let mut template = Self { parts: Vec::new() };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${").filter(|_| syntax.variables) {
            let Some((inside, behind)) = after.split_once('}') else {
                return Err(MalformedPolicy::here(format!("'{}' has a '${{' without a '}}'", quoted(text))));
            };
            template.push_plain(before, syntax);
            match inside {
                "*" | "?" | "$" => template.push_text(inside),
                _ => template.parts.push(variable(inside)?),
            }
            rest = behind;
        }
        template.push_plain(rest, syntax);
        Ok(template)
    }

    fn push_plain(&mut self, text: &str, syntax: Syntax) {
        if !syntax.wildcards {
            return self.push_text(text);
        }
        for part in text.split_inclusive(['*', '?']) {
            if let Some(before) = part.strip_suffix('*') {
                self.push_text(before);
                if !matches!(self.parts.last(), Some(Part::Many)) {
                    self.parts.push(Part::Many);
                }
            } else if let Some(before) = part.strip_suffix('?') {
                self.push_text(before);
                self.parts.push(Part::One);
            } else {
                self.push_text(part);
            }
        }
    }

    fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(Part::Text(last)) = self.parts.last_mut() {
            last.push_str(text);
        } else {
            self.parts.push(Part::Text(text.to_owned()));
        }
    }

    /// Whether the text is one variable and nothing else.
    pub(super) fn is_one_variable(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Variable { .. }])
    }

    /// Whether the text has a variable.
    pub(super) fn has_variables(&self) -> bool {
        self.variables().next().is_some()
    }

    /// Whether nothing is given but wildcards, separators and variables.
    pub(super) fn is_unspecific(&self) -> bool {
        self.has_variables()
            || !self.parts.iter().any(|part| match part {
                Part::Text(text) => text.contains(char::is_alphanumeric),
                _ => false,
            })
    }

    /// The text before the first wildcard or variable, and whether that is all.
    pub(super) fn literal_start(&self) -> (&str, bool) {
        match self.parts.split_first() {
            None => ("", true),
            Some((Part::Text(text), rest)) => (text, rest.is_empty()),
            Some(_) => ("", false),
        }
    }

    /// The keys of the variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &VariableKey> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable { key, .. } => Some(key),
            _ => None,
        })
    }

    /// Whether the template, with the values of its variables, matches the whole of `text`.
    pub(super) fn matches(&self, text: &str, context: &Context) -> Truth {
        match self.parts.as_slice() {
            [] => Truth::from(text.is_empty()),
            [Part::Many] => Truth::True,
            [Part::Text(literal)] => Truth::from(literal == text),
            _ => match self.resolve(context) {
                Some(pieces) => Truth::from(glob::matches(&pieces, text)),
                None => Truth::Unresolved,
            },
        }
    }

    /// The same for a template without wildcards, ignoring case.
    pub(super) fn matches_ignoring_case(&self, text: &str, context: &Context) -> Truth {
        let Some(pieces) = self.resolve(context) else { return Truth::Unresolved };
        let wanted = pieces.iter().flat_map(|piece| match piece {
            Piece::Text(literal) => literal.chars(),
            Piece::One | Piece::Many => "".chars(),
        });
        Truth::from(wanted.flat_map(char::to_lowercase).eq(text.chars().flat_map(char::to_lowercase)))
    }

    fn resolve<'a>(&'a self, context: &'a Context) -> Option<Vec<Piece<'a>>> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(Piece::Text(text)),
                Part::One => Some(Piece::One),
                Part::Many => Some(Piece::Many),
                Part::Variable { key, default } => match context.get_folded(&key.folded) {
                    Some(ContextValue::One(value)) if value.len() <= MAX_VALUE => Some(Piece::Text(value)),
                    Some(_) => None,
                    None => default.as_deref().map(Piece::Text),
                },
            })
            .collect()
    }
}

/// Reads what stands between `${` and `}`: `key` or `key, 'default'`.
fn variable(inside: &str) -> Result<Part, MalformedPolicy> {
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, default)) => {
            let quotes = default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            let Some(default) = quotes.filter(|text| !text.contains('\'')) else {
                return Err(MalformedPolicy::here(format!(
                    "the default in '${{{}}}' must stand in single quotes",
                    quoted(inside)
                )));
            };
            (key.trim_end(), Some(default.to_owned()))
        }
    };
    let is_name = !key.is_empty() && key.trim() == key && !key.contains(['$', '{', '\'', '*', '?']);
    if !is_name || key.contains(char::is_control) {
        return Err(MalformedPolicy::here(format!("'${{{}}}' is not a policy variable", quoted(inside))));
    }
    Ok(Part::Variable { key: VariableKey::new(key), default })
}
