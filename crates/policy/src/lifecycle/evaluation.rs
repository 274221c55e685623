//! What a policy does to a repository.
//!
//! 1. Every rule selects images on its own, by storage class and tags.
//! 2. Every rule marks some of those it selects, by count or age.
//! 3. Rules act in the order of their priorities. An image that a rule selects,
//!    marked or not, is out of reach for all rules after it; these count it all
//!    the same. So it is the first rule that selects an image which decides, and
//!    acts if it has marked it.
//!
//! Then what holds on to what:
//!
//! - An image that an index lists does not expire, and does not go into the
//!   archive if that index is not there. It is free once the index has gone
//!   first, which the next evaluation sees.
//! - An image that refers to another (a signature, an SBOM) goes with its
//!   subject and by no rule of its own as long as the subject is there; so it
//!   takes no place among the images that a rule keeps by count either: a newer
//!   signature would push the image out that it belongs to, and go with it.
//!   Without a subject it is an image like any other once it is a day old: it may
//!   have been pushed ahead of its subject.
//!
//! Memory: of an image nothing is kept but 40 bytes, its digest (33 bytes; 65
//! for SHA-512) and that of its subject, and 4 to 8 bytes more when it is
//! decided. With the room that growing vectors leave that is at most 200 bytes
//! an image (300 with SHA-512), 20 MB for a repository of 100,000, and half as
//! much again for the moment in which a vector grows; tags and patterns take none.
//! Time: the tags of an image times the patterns of the policy, and a sort.

use ironwharf_model::{Digest, ImageStatus};

use super::document::Policy;
use super::names::{Name, Names};
use super::rule::{Action, Count, Rule, StorageClass};

/// How old an image must be to be taken for one whose subject is gone.
const ORPHANED_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// How far a chain of images that refer to each other is followed.
const MAX_CHAIN: u8 = 8;

/// An image, as a policy sees it. Times are in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Its digest, unique in a repository.
    pub digest: &'a Digest,
    /// Its tags.
    pub tags: &'a [String],
    /// Where it is.
    pub status: ImageStatus,
    /// When it was pushed.
    pub pushed_at_ms: i64,
    /// When it came out of the archive last.
    pub activated_at_ms: Option<i64>,
    /// When it went into the archive last.
    pub archived_at_ms: Option<i64>,
    /// When a pull was recorded last.
    pub pulled_at_ms: Option<i64>,
    /// Which indexes list it.
    pub listed: Listed,
    /// The image it refers to.
    pub subject: Option<&'a Digest>,
    /// Whatever tells the caller later on whether the image is as it was.
    pub stamp: u64,
}

/// Which indexes list an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listed {
    /// None.
    Nowhere,
    /// Only some that are in the archive.
    InArchive,
    /// At least one that is not.
    Active,
}

/// What is to be done with an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act<'p> {
    /// The image.
    pub digest: Digest,
    /// As given in [`Image::stamp`].
    pub stamp: u64,
    /// Whether it had tags.
    pub tagged: bool,
    /// Where it was.
    pub storage_class: StorageClass,
    /// The rule that acts.
    pub rule: &'p Rule,
    /// Whether it is only because of its subject, on which the rule acts.
    pub follows: bool,
}

/// An evaluation under way: images are added, page by page, in any order.
#[derive(Debug)]
pub struct Evaluation<'p> {
    policy: &'p Policy,
    now_ms: i64,
    kept: Vec<Kept>,
    names: Names,
    has_referrers: bool,
}

/// What is kept of an image.
#[derive(Debug)]
struct Kept {
    aged_from_ms: i64,
    stamp: u64,
    /// The rules that select it, one bit each.
    selected: u64,
    name: Name,
    subject: Option<Name>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct State {
    tagged: bool,
    /// None while it is between the classes, where nothing is done with it.
    class: Option<StorageClass>,
    /// Whether the first rule that selects it has marked it.
    marked: bool,
    listed: Listed,
    /// Whether its subject is there.
    follows: bool,
}

impl State {
    /// Whether nothing holds an action up.
    fn allows(self, action: Action) -> bool {
        let free = match action {
            Action::Expire => self.listed == Listed::Nowhere,
            Action::Archive => self.listed != Listed::Active,
        };
        free && self.class.is_some()
    }
}

impl<'p> Evaluation<'p> {
    /// An evaluation of `policy` at a time, of no images yet.
    #[must_use]
    pub fn new(policy: &'p Policy, now_ms: i64) -> Self {
        Self { policy, now_ms, kept: Vec::new(), names: Names::default(), has_referrers: false }
    }

    /// Adds an image; each may be added once.
    pub fn add(&mut self, image: &Image<'_>) {
        let rules = self.policy.rules();
        let selecting = rules.iter().enumerate().filter(|(_, rule)| rule.selects(image));
        let selected = selecting.fold(0_u64, |selected, (index, _)| selected | bit(index));
        let first = rules.get(first_of(selected));
        let (Some(name), Ok(subject)) = (self.names.keep(image.digest), self.keep_subject(image)) else { return };
        self.has_referrers |= subject.is_some();
        self.kept.push(Kept {
            aged_from_ms: image.aged_from_ms(),
            stamp: image.stamp,
            selected,
            name,
            subject,
            state: State {
                tagged: !image.tags.is_empty(),
                class: StorageClass::of(image.status),
                marked: first.and_then(|rule| rule.marks(image, self.now_ms)).unwrap_or(false),
                listed: image.listed,
                follows: false,
            },
        });
    }

    fn keep_subject(&mut self, image: &Image<'_>) -> Result<Option<Name>, ()> {
        image.subject.map(|subject| self.names.keep(subject).ok_or(())).transpose()
    }

    /// How much memory the images added so far take, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<Kept>() + self.names.held_bytes()
    }

    /// Decides.
    #[must_use]
    pub fn finish(mut self) -> Outcome<'p> {
        let names = &self.names;
        // The oldest first; of two of one moment, whichever has the lower digest.
        self.kept.sort_unstable_by(|one, other| {
            let by_age = one.aged_from_ms.cmp(&other.aged_from_ms);
            by_age.then_with(|| names.bytes(one.name).cmp(names.bytes(other.name)))
        });
        let by_name = if self.has_referrers { sorted_by_name(&self.kept, names) } else { Vec::new() };
        mark_followers(&mut self.kept, names, &by_name);
        for (index, rule) in self.policy.rules().iter().enumerate() {
            if let Count::ImagesMoreThan(keep) = rule.count {
                mark_behind(&mut self.kept, index, keep);
            }
        }
        let decided = Decided { kept: &self.kept, names, by_name: &by_name, now_ms: self.now_ms };
        let mut acts: Vec<Decision> = Vec::new();
        for (index, image) in (0_u32..).zip(&self.kept) {
            acts.extend(decided.acted_on(image, self.policy).map(|(depth, rule)| Decision { index, depth, rule }));
        }
        // What refers to an image goes after it.
        acts.sort_by_key(|decision| decision.depth);
        Outcome { policy: self.policy, kept: self.kept, names: self.names, acts }
    }
}

const fn bit(index: usize) -> u64 {
    1 << (index % 64)
}

/// The first rule of a set: those before it do not select.
fn first_of(selected: u64) -> usize {
    usize::try_from(selected.trailing_zeros()).unwrap_or(usize::MAX)
}

fn at(kept: &[Kept], index: u32) -> Option<&Kept> {
    kept.get(usize::try_from(index).ok()?)
}

/// Marks those whose subjects are there.
fn mark_followers(kept: &mut [Kept], names: &Names, by_name: &[u32]) {
    for index in 0..kept.len() {
        let subject = kept.get(index).and_then(|image| image.subject);
        let follows = subject.is_some_and(|subject| find(kept, names, by_name, subject).is_some());
        if let (true, Some(image)) = (follows, kept.get_mut(index)) {
            image.state.follows = true;
        }
    }
}

/// The image of a name, if it is there.
fn find<'a>(kept: &'a [Kept], names: &Names, by_name: &[u32], name: Name) -> Option<&'a Kept> {
    let wanted = names.bytes(name);
    let bytes = |index: &u32| at(kept, *index).map(|image| names.bytes(image.name)).unwrap_or_default();
    let found = by_name.binary_search_by(|index| bytes(index).cmp(wanted)).ok()?;
    at(kept, *by_name.get(found)?)
}

/// Marks, for the rule at `index`, what it selects behind the newest `keep`.
/// Those that an earlier rule decides count too, those that follow a subject
/// do not.
fn mark_behind(kept: &mut [Kept], index: usize, keep: u32) {
    let selected = kept.iter_mut().rev().filter(|image| image.selected & bit(index) != 0 && !image.state.follows);
    for image in selected.skip(usize::try_from(keep).unwrap_or(usize::MAX)) {
        if first_of(image.selected) == index {
            image.state.marked = true;
        }
    }
}

fn sorted_by_name(kept: &[Kept], names: &Names) -> Vec<u32> {
    let mut sorted: Vec<u32> = (0_u32..).zip(kept).map(|(index, _)| index).collect();
    let bytes = |index: &u32| at(kept, *index).map(|image| names.bytes(image.name));
    sorted.sort_unstable_by(|one, other| bytes(one).cmp(&bytes(other)));
    sorted
}

/// The images with all marks.
struct Decided<'a> {
    kept: &'a [Kept],
    names: &'a Names,
    by_name: &'a [u32],
    now_ms: i64,
}

impl Decided<'_> {
    fn find(&self, name: Name) -> Option<&Kept> {
        find(self.kept, self.names, self.by_name, name)
    }

    /// The rule that acts on an image, and how many subjects are between them.
    fn acted_on(&self, image: &Kept, policy: &Policy) -> Option<(u8, u8)> {
        let (mut depth, mut root) = (0, image);
        // What holds one up holds up all that refer to it.
        let mut held = image.state;
        while let Some(subject) = root.subject.and_then(|subject| self.find(subject)) {
            if depth == MAX_CHAIN {
                return None;
            }
            (depth, root) = (depth + 1, subject);
            held.listed = held.listed.max(subject.state.listed);
            held.class = held.class.and(subject.state.class);
        }
        let rule = u8::try_from(first_of(root.selected)).ok()?;
        let action = policy.rules().get(usize::from(rule))?.action;
        let orphaned = root.subject.is_none() || self.now_ms.saturating_sub(root.aged_from_ms) > ORPHANED_AFTER_MS;
        let acts = root.state.marked && held.allows(action) && orphaned;
        // A follower may have been archived by hand before.
        let is_there = depth > 0 && action == Action::Archive && image.state.class == Some(StorageClass::Archive);
        (acts && !is_there).then_some((depth, rule))
    }
}

/// What is to be done, in this order.
#[derive(Debug)]
pub struct Outcome<'p> {
    policy: &'p Policy,
    kept: Vec<Kept>,
    names: Names,
    acts: Vec<Decision>,
}

#[derive(Debug)]
struct Decision {
    index: u32,
    /// How many subjects are between the image and the one that the rule marks.
    depth: u8,
    rule: u8,
}

impl<'p> Outcome<'p> {
    /// How many images are acted on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.acts.len()
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }

    /// The acts: the oldest images first, and after them what refers to them.
    pub fn acts(&self) -> impl Iterator<Item = Act<'p>> {
        self.acts.iter().filter_map(|decision| {
            let image = at(&self.kept, decision.index)?;
            Some(Act {
                digest: self.names.digest(image.name),
                stamp: image.stamp,
                tagged: image.state.tagged,
                storage_class: image.state.class?,
                rule: self.policy.rules().get(usize::from(decision.rule))?,
                follows: decision.depth > 0,
            })
        })
    }

    /// How much memory it takes, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<Kept>()
            + self.names.held_bytes()
            + self.acts.capacity() * size_of::<Decision>()
    }
}
