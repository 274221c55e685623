//! Names of the model as names of Rust.

/// `RepositoryNotFoundException` as a variant: the suffix says nothing in an
/// enumeration of errors.
pub(super) fn error_variant(name: &str) -> String {
    name.strip_suffix("Exception").unwrap_or(name).to_owned()
}

/// The name of a shape as a type: some begin with a small letter.
pub(super) fn type_name(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + characters.as_str())
}

/// Splits a name into its words: at `_` and `-`, before a capital that follows
/// a small letter or digit, and before the last capital of a run
/// (`RCTAppliedFor` is `RCT`, `Applied`, `For`).
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous: Option<char> = None;
    let mut rest = name.chars().peekable();
    while let Some(current) = rest.next() {
        let separator = matches!(current, '_' | '-');
        let follows_small = current.is_ascii_uppercase() && previous.is_some_and(|c| !c.is_ascii_uppercase());
        let ends_run = current.is_ascii_uppercase()
            && previous.is_some_and(|c| c.is_ascii_uppercase())
            && rest.peek().is_some_and(char::is_ascii_lowercase);
        if separator || follows_small || ends_run {
            words.push(String::new());
        }
        if !separator && let Some(word) = words.last_mut() {
            word.push(current);
        }
        previous = Some(current);
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + &characters.as_str().to_ascii_lowercase()
    })
}

pub(super) fn pascal_case(name: &str) -> String {
    words(name).iter().map(|word| capitalized(word)).collect()
}

pub(super) fn snake_case(name: &str) -> String {
    words(name).join("_").to_ascii_lowercase()
}

pub(super) fn constant_case(name: &str) -> String {
    words(name).join("_").to_ascii_uppercase()
}

/// What serde's `rename_all = "camelCase"` makes of a field name.
pub(super) fn camel_case(field: &str) -> String {
    let mut text = String::new();
    for (position, word) in field.split('_').enumerate() {
        text += &if position == 0 { word.to_owned() } else { capitalized(word) };
    }
    text
}

/// What serde's `rename_all = "PascalCase"` makes of a field name.
pub(super) fn upper_camel_case(field: &str) -> String {
    field.split('_').map(capitalized).collect()
}

/// A Rust literal of `number`, in groups of three digits.
pub(super) fn number_literal(number: i64) -> String {
    let mut text = String::new();
    let digits = number.unsigned_abs().to_string();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A Rust literal of `text`, raw when that reads better.
pub(super) fn string_literal(text: &str) -> String {
    if text.contains('\\') && !text.contains('"') { format!("r\"{text}\"") } else { format!("{text:?}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        for (name, snake, pascal) in [
            ("repositoryName", "repository_name", "RepositoryName"),
            ("Key", "key", "Key"),
            ("RCTAppliedFor", "rct_applied_for", "RctAppliedFor"),
            ("IMMUTABLE_WITH_EXCLUSION", "immutable_with_exclusion", "ImmutableWithExclusion"),
            ("AES256", "aes256", "Aes256"),
            ("github-container-registry", "github_container_registry", "GithubContainerRegistry"),
            ("k8s", "k8s", "K8s"),
            ("ListOpenIDConnectProviders", "list_open_id_connect_providers", "ListOpenIdConnectProviders"),
        ] {
            assert_eq!(snake_case(name), snake);
            assert_eq!(pascal_case(name), pascal);
        }
    }

    #[test]
    fn camel_case_undoes_snake_case_for_plain_names() {
        assert_eq!(camel_case(&snake_case("imageSizeInBytes")), "imageSizeInBytes");
        assert_ne!(camel_case(&snake_case("Key")), "Key");
        assert_eq!(upper_camel_case(&snake_case("UserName")), "UserName");
        assert_ne!(upper_camel_case(&snake_case("MFADevices")), "MFADevices");
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, -1000, 20_971_520].map(number_literal), ["0", "-1_000", "20_971_520"]);
    }
}
