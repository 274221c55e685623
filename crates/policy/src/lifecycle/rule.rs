//! One rule of a policy: which images it selects, which of them it marks, and
//! what is done with those.

use super::evaluation::Image;
use crate::wildcard;
use ironwharf_model::ImageStatus;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Where an image is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageClass {
    /// Where it can be pulled from.
    Standard,
    /// In the archive.
    Archive,
}

impl StorageClass {
    /// The class of an image; none while it is on its way out of the archive.
    #[must_use]
    pub const fn of(status: ImageStatus) -> Option<Self> {
        match status {
            ImageStatus::Active => Some(Self::Standard),
            ImageStatus::Archived => Some(Self::Archive),
            ImageStatus::Activating => None,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Archive => "archive",
        }
    }
}

/// Which images a rule is about, by their tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagSelection {
    /// Those of which, for each pattern, some tag matches it as a whole.
    Patterns(Vec<String>),
    /// Those of which, for each prefix, some tag starts with it.
    Prefixes(Vec<String>),
    /// Those without a tag.
    Untagged,
    /// All.
    Any,
}

impl TagSelection {
    fn selects(&self, tags: &[String]) -> bool {
        let each = |wanted: &[String], matches: fn(&str, &str) -> bool| {
            wanted.iter().all(|wanted| tags.iter().any(|tag| matches(wanted, tag)))
        };
        match self {
            Self::Patterns(patterns) => each(patterns, wildcard::matches),
            Self::Prefixes(prefixes) => each(prefixes, |prefix, tag| tag.starts_with(prefix)),
            Self::Untagged => tags.is_empty(),
            Self::Any => true,
        }
    }
}

/// Which of the images that it selects a rule marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Those behind the newest so many.
    ImagesMoreThan(u32),
    /// Those pushed, or restored, more than so many days ago.
    DaysSincePushed(u32),
    /// Those pulled more than so many days ago.
    DaysSincePulled(u32),
    /// Those archived more than so many days ago.
    DaysSinceTransitioned(u32),
}

/// What is done with marked images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// They are deleted.
    Expire,
    /// They go into the archive.
    Archive,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Lower numbers go first; unique in a policy.
    pub priority: u32,
    /// What it is for, in its author's words.
    pub description: Option<String>,
    /// The images it selects, by where they are.
    pub storage_class: StorageClass,
    /// The images it selects, by their tags.
    pub tags: TagSelection,
    /// The images it marks.
    pub count: Count,
    /// What is done with them.
    pub action: Action,
}

impl Rule {
    /// Whether an image is one of those that the rule looks at.
    pub(super) fn selects(&self, image: &Image<'_>) -> bool {
        StorageClass::of(image.status) == Some(self.storage_class) && self.tags.selects(image.tags)
    }

    /// Whether it marks an image that it selects; `None` if that is a matter of
    /// the others.
    pub(super) fn marks(&self, image: &Image<'_>, now_ms: i64) -> Option<bool> {
        let older = |since_ms: i64, days: u32| now_ms.saturating_sub(since_ms) > i64::from(days).saturating_mul(DAY_MS);
        match self.count {
            Count::ImagesMoreThan(_) => None,
            Count::DaysSincePushed(days) => Some(older(image.available_since_ms(), days)),
            Count::DaysSincePulled(days) => Some(older(image.used_at_ms(), days)),
            Count::DaysSinceTransitioned(days) => Some(image.archived_at_ms.is_some_and(|since| older(since, days))),
        }
    }
}

impl Image<'_> {
    /// When it was pushed, or restored from the archive, last.
    pub(super) fn available_since_ms(&self) -> i64 {
        self.activated_at_ms.unwrap_or(self.pushed_at_ms)
    }

    /// When it was pulled last; if it was not since it was restored or pushed,
    /// then that.
    fn used_at_ms(&self) -> i64 {
        let available = self.activated_at_ms;
        let pulled = self.pulled_at_ms.filter(|pulled| available.is_none_or(|available| available <= *pulled));
        pulled.or(available).unwrap_or(self.pushed_at_ms)
    }

    /// The time that says which of two images is the older one.
    pub(super) fn aged_from_ms(&self) -> i64 {
        let archived = self.archived_at_ms.filter(|_| self.status == ImageStatus::Archived);
        archived.unwrap_or_else(|| self.available_since_ms())
    }
}
