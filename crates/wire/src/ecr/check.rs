//! Constraints of the ECR model, and their violations in ECR's words.
//!
//! Invariant: of the violated constraints the first in the order of the model
//! is reported, and only if all types are right.
//!
//! # Wording
//!
//! The service speaks in two voices. Its framework words constraints as
//! `Member must ...`, counts list elements from one (`tags.2.member.key`) and
//! reports a wrong scalar in a list at the list itself. Repository names,
//! image tags and registry ids are validated by its own code, which says
//! `must ...`. Both are reproduced because clients match on the texts.

use serde_json::Value;

use super::json::DecodeError;
use crate::service::check::{self, Misfit, Position, Reason, Violation, decapitalized};
pub use crate::service::shape::{Bounds, Kind, Member, Pattern, Shape};

/// Checks a whole input against its shape.
pub fn check(shape: &'static Shape, value: &Value) -> Result<(), DecodeError> {
    check::check(shape, value, 1).map_err(|misfit| match misfit {
        Misfit::WrongType(message) => DecodeError::Serialization { message },
        Misfit::Violations(violations) => worded(violations),
    })
}

/// The first violation, in the words of the service.
fn worded(violations: Vec<Violation>) -> DecodeError {
    let Some(violation) = violations.into_iter().next() else {
        return DecodeError::Serialization { message: "the request body is not valid".to_owned() };
    };
    let Violation { shape, position, path, parent, reason, .. } = violation;
    let (parameter, constraint) = match (voice(shape.name, position), position) {
        (Voice::Service, _) => {
            // The service's own validation does not know the list.
            let parameter = if position == Position::Element { decapitalized(shape.name) } else { path };
            let constraint = match reason {
                Reason::Pattern(source) => format!("must satisfy regular expression '{source}'"),
                other => other.to_string(),
            };
            (parameter, constraint)
        }
        (Voice::Framework, Position::Element) if shape.is_scalar() => {
            (parent, format!("Member must satisfy constraint: [Member {reason}]"))
        }
        (Voice::Framework, _) => (path, format!("Member {reason}")),
    };
    DecodeError::InvalidParameter { parameter, constraint }
}

/// Which part of the service words the refusal of a value.
#[derive(Clone, Copy)]
enum Voice {
    Framework,
    Service,
}

fn voice(shape: &str, position: Position) -> Voice {
    // Registry ids in a list are the framework's: a refusal of `registryIds`
    // speaks of its members.
    match (shape, position) {
        ("RepositoryName", _) | ("RegistryId" | "ImageTag", Position::Member) => Voice::Service,
        _ => Voice::Framework,
    }
}
