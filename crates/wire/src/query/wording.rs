//! Violated constraints in the words of IAM and STS.
//!
//! Their framework reports all violations in one sentence, those of a wrong
//! text in a list as one of the list. IAM validates the characters of names
//! and paths by its own code, only if the framework finds nothing, and says
//! that in sentences of its own. Both are reproduced because clients match on
//! the texts.

use crate::service::check::{Position, Reason, Violation};

/// The message about violations.
pub(super) fn message(violations: &[Violation]) -> String {
    let mut clauses: Vec<String> = Vec::new();
    let mut own = None;
    for violation in violations {
        if let Some(sentence) = own_sentence(violation) {
            own.get_or_insert(sentence);
            continue;
        }
        let clause = clause(violation);
        // A list that has many wrong texts is wrong once.
        if !clauses.contains(&clause) {
            clauses.push(clause);
        }
    }
    match (clauses.len(), own) {
        (0, Some(sentence)) => sentence,
        (1, _) => format!("1 validation error detected: {}", clauses.concat()),
        (count, _) => format!("{count} validation errors detected: {}", clauses.join("; ")),
    }
}

fn clause(violation: &Violation) -> String {
    let Violation { shape, position, path, parent, reason, value } = violation;
    if *position == Position::Element && shape.is_scalar() {
        let constraints: Vec<String> = Reason::all_of(shape).iter().map(|reason| format!("Member {reason}")).collect();
        let constraints = constraints.join(", ");
        return format!(
            "Value at '{parent}' failed to satisfy constraint: Member must satisfy constraint: [{constraints}]"
        );
    }
    let value = match (reason, value) {
        (Reason::Absent, _) => "Value null".to_owned(),
        (_, Some(value)) => format!("Value '{value}'"),
        // Lists, and what must not be repeated.
        (_, None) => "Value".to_owned(),
    };
    format!("{value} at '{path}' failed to satisfy constraint: Member {reason}")
}

/// What IAM's own code says about a name or path of the wrong form.
fn own_sentence(violation: &Violation) -> Option<String> {
    let is_form = matches!(violation.reason, Reason::Pattern(_) | Reason::Below { .. });
    if !is_form || violation.position != Position::Member {
        return None;
    }
    let rule = match violation.shape.name {
        "userNameType"
        | "existingUserNameType"
        | "groupNameType"
        | "roleNameType"
        | "policyNameType"
        | "instanceProfileNameType" => "It must contain only alphanumeric characters and/or the following: +=,.@_-",
        "pathType" | "policyPathType" => {
            "It must begin and end with / and contain only alphanumeric characters and/or / characters."
        }
        "pathPrefixType" => "It must begin with / and contain only alphanumeric characters and/or / characters.",
        _ => return None,
    };
    Some(format!("The specified value for {} is invalid. {rule}", violation.path))
}
