//! The limits of lifecycle policies. (ECR User Guide: service quotas, lifecycle
//! policy properties.)

/// The largest policy, in characters.
pub const MAX_CHARACTERS: usize = 30_720;

/// The smallest policy, in characters.
pub(super) const MIN_CHARACTERS: usize = 100;

/// The most rules of a policy. No more than the bits of a `u64`: the evaluation
/// counts on it.
pub(super) const MAX_RULES: usize = 50;

/// The most `*` of a tag pattern.
pub(super) const MAX_WILDCARDS: usize = 4;

/// The largest number where the documentation gives none: that of the wire.
pub(super) const MAX_NUMBER: u64 = 2_147_483_647;

/// How long an image stays in the archive before a policy may delete it.
pub(super) const MIN_ARCHIVED_DAYS: u32 = 90;
