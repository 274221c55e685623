//! Unique ids: what tells a user from another of the same name.

use ironwharf_cloud::random;

/// What an id is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IdKind {
    User,
    Group,
    Role,
    Policy,
}

/// A new id in IAM's form: four letters for the kind, 17 of base32.
pub(crate) fn unique_id(kind: IdKind) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let prefix = match kind {
        IdKind::User => "AIDA",
        IdKind::Group => "AGPA",
        IdKind::Role => "AROA",
        IdKind::Policy => "ANPA",
    };
    let letter = |byte: u8| LETTERS.get(usize::from(byte % 32)).copied().map_or('A', char::from);
    prefix.chars().chain(random::bytes::<17>().into_iter().map(letter)).collect()
}
