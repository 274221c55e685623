//! True, false, or impossible to say.
//!
//! Invariant: what cannot be said never grants anything. An `Allow` applies
//! only when its elements are true, a `Deny` unless one of them is false.

use super::statement::StatementEffect;

/// Whether an element of a statement matches the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// The element has a variable without a value, or asks for a comparison
    /// that has no meaning.
    Unresolved,
}

impl Truth {
    pub(super) fn negated_if(self, negated: bool) -> Self {
        match self {
            Self::True if negated => Self::False,
            Self::False if negated => Self::True,
            same => same,
        }
    }

    /// True as soon as one is true.
    pub(super) fn any(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut result = Self::False;
        for truth in truths {
            match truth {
                Self::True => return Self::True,
                Self::False => {}
                Self::Unresolved => result = Self::Unresolved,
            }
        }
        result
    }

    /// False as soon as one is false.
    pub(super) fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        let mut result = Self::True;
        for truth in truths {
            match truth {
                Self::True => {}
                Self::False => return Self::False,
                Self::Unresolved => result = Self::Unresolved,
            }
        }
        result
    }

    /// Whether a statement of this effect applies. `reference_policies_variables`
    /// lets a statement with an unresolved variable match nothing; for a `Deny`
    /// that would fail open, so here it matches.
    pub(super) fn applies(self, effect: StatementEffect) -> bool {
        match effect {
            StatementEffect::Allow => self == Self::True,
            StatementEffect::Deny => self != Self::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}
