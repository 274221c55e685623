//! Tag mutability.

use ironwharf_model::{Tag, TagMutability};

use crate::wildcard;

/// Whether `tag`, which names one image already, may be moved to another.
#[must_use]
pub fn may_move(mutability: &TagMutability, tag: &Tag) -> bool {
    let excluded = mutability.filters().iter().any(|filter| wildcard::matches(filter, tag.as_str()));
    match mutability {
        TagMutability::Mutable => true,
        TagMutability::Immutable => false,
        TagMutability::MutableWithExclusion(_) => !excluded,
        TagMutability::ImmutableWithExclusion(_) => excluded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_the_exceptions() {
        let filters = || vec!["v*".to_owned(), "latest".to_owned()];
        let cases = [
            (TagMutability::Mutable, "v1", true),
            (TagMutability::Immutable, "v1", false),
            (TagMutability::MutableWithExclusion(filters()), "v1", false),
            (TagMutability::MutableWithExclusion(filters()), "dev", true),
            (TagMutability::ImmutableWithExclusion(filters()), "latest", true),
            (TagMutability::ImmutableWithExclusion(filters()), "latest2", false),
        ];
        for (mutability, tag, expected) in cases {
            let tag = Tag::parse(tag).expect("tag");
            assert_eq!(may_move(&mutability, &tag), expected, "{mutability:?} {tag}");
        }
    }
}
