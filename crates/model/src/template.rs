//! Which repositories a creation template is for.

use std::fmt;

use crate::error::{Error, Result, quoted};
use crate::repository::{RepositoryName, is_path_component};

/// The prefix of a repository creation template: `prod` stands for `prod/…`,
/// and `ROOT` for every repository that no other prefix is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TemplatePrefix {
    /// `ROOT`.
    Root,
    /// Path components of a repository name, without the slash at the end.
    Path(String),
}

impl TemplatePrefix {
    /// Reads a prefix; the slash at its end may be left out.
    pub fn parse(text: &str) -> Result<Self> {
        if text == "ROOT" {
            return Ok(Self::Root);
        }
        let path = text.strip_suffix('/').unwrap_or(text);
        if text.len() <= 256 && path.split('/').all(is_path_component) {
            return Ok(Self::Path(path.to_owned()));
        }
        let constraint = format!("\"{}\" is neither ROOT nor the start of repository names", quoted(text));
        Err(Error::invalid_parameter("prefix", constraint))
    }

    /// How well it is for a repository: by how many characters of the name;
    /// `None` if it is not for it at all.
    fn fit(&self, name: &RepositoryName) -> Option<usize> {
        match self {
            Self::Root => Some(0),
            Self::Path(path) => {
                let rest = name.as_str().strip_prefix(path.as_str())?;
                rest.starts_with('/').then_some(path.len())
            }
        }
    }

    /// Of several, the longest that is for a repository.
    pub fn longest<'a>(prefixes: impl IntoIterator<Item = &'a Self>, name: &RepositoryName) -> Option<&'a Self> {
        let fitting = prefixes.into_iter().filter_map(|prefix| Some((prefix.fit(name)?, prefix)));
        fitting.max_by_key(|(fit, _)| *fit).map(|(_, prefix)| prefix)
    }
}

impl fmt::Display for TemplatePrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => formatter.write_str("ROOT"),
            Self::Path(path) => formatter.write_str(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_starts_of_repository_names() {
        for (text, shown) in [("ROOT", "ROOT"), ("prod", "prod"), ("prod/", "prod"), ("a", "a"), ("a/b-c/", "a/b-c")] {
            assert_eq!(TemplatePrefix::parse(text).unwrap().to_string(), shown);
        }
        let long = "a".repeat(257);
        for bad in ["", "/", "Root", "ROOT/", "ROOT/a", "Prod", "prod//", "/prod", "a#b", "a..b", "*", &long] {
            assert!(TemplatePrefix::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_longest_prefix_is_the_one() {
        let parse = |text: &str| TemplatePrefix::parse(text).unwrap();
        let prefixes = ["ROOT", "prod", "prod/team", "prod/te"].map(parse);
        for (name, expected) in [
            ("prod/team/app", "prod/team"),
            ("prod/team", "prod"),
            ("prod/teams/app", "prod"),
            ("prod", "ROOT"),
            ("production/app", "ROOT"),
            ("prod/te/app", "prod/te"),
        ] {
            let name = RepositoryName::parse(name).unwrap();
            let found = TemplatePrefix::longest(&prefixes, &name).map(ToString::to_string);
            assert_eq!(found.as_deref(), Some(expected), "{name}");
            let backwards = TemplatePrefix::longest(prefixes.iter().rev(), &name).map(ToString::to_string);
            assert_eq!(backwards.as_deref(), Some(expected), "{name}");
        }
        let name = RepositoryName::parse("other/app").unwrap();
        assert_eq!(TemplatePrefix::longest(prefixes.iter().skip(1), &name), None);
    }
}
