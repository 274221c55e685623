//! Amazon Resource Names of the things a policy can name.

use std::fmt;

use crate::identity::{AccountId, Region};
use crate::repository::RepositoryName;

/// The ARN of a repository: ECR's only resource type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryArn<'a> {
    /// The Region of the registry.
    pub region: &'a Region,
    /// The account that owns the registry.
    pub account: &'a AccountId,
    /// The repository.
    pub repository: &'a RepositoryName,
}

impl fmt::Display for RepositoryArn<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partition = partition(self.region);
        write!(formatter, "arn:{partition}:ecr:{}:{}:repository/{}", self.region, self.account, self.repository)
    }
}

/// The partition a Region belongs to.
#[must_use]
pub fn partition(region: &Region) -> &'static str {
    match region.as_str() {
        name if name.starts_with("cn-") => "aws-cn",
        name if name.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
