//! Amazon Resource Names of the things a policy can name.

use std::fmt;

use crate::error::{Error, Result, quoted};
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

/// What a `resourceArn` names: a repository in the registry's own Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedRepository {
    /// The account that owns the registry.
    pub account: AccountId,
    /// The repository.
    pub repository: RepositoryName,
}

impl NamedRepository {
    /// Reads the ARN of a repository in `region`.
    pub fn parse(text: &str, region: &Region) -> Result<Self> {
        let invalid = |why: String| Error::invalid_parameter("resourceArn", format!("Invalid ARN: {why}"));
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (arn, its_partition, service, its_region) = (next(), next(), next(), next());
        let (account, resource) = (next(), next());
        let repository = resource.strip_prefix("repository/").map(RepositoryName::parse);
        let (Ok(account), Some(Ok(repository)), "arn", "ecr") = (AccountId::parse(account), repository, arn, service)
        else {
            return Err(invalid(format!("\"{}\" is not the ARN of a repository", quoted(text))));
        };
        if its_region != region.as_str() || its_partition != partition(region) {
            return Err(invalid(format!("\"{}\" is not in the Region {region} of this request", quoted(text))));
        }
        Ok(Self { account, repository })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_repositories_are_read() {
        let region = Region::parse("us-east-1").unwrap();
        let text = "arn:aws:ecr:us-east-1:123456789012:repository/team/app";
        let named = NamedRepository::parse(text, &region).unwrap();
        let NamedRepository { account, repository } = &named;
        assert_eq!(RepositoryArn { region: &region, account, repository }.to_string(), text);
        for bad in [
            "",
            "arn",
            "team/app",
            "arn:aws:ecr:us-east-1:123456789012:repository/",
            "arn:aws:ecr:us-east-1:123456789012:repository/*",
            "arn:aws:ecr:us-east-1:123456789012:team/app",
            "arn:aws:ecr:us-east-1:12345678901:repository/team/app",
            "arn:aws:ecr:us-east-1::repository/team/app",
            "arn:aws:ecr:eu-west-1:123456789012:repository/team/app",
            "arn:aws-cn:ecr:us-east-1:123456789012:repository/team/app",
            "arn:aws:ecr-public:us-east-1:123456789012:repository/team/app",
            "arn:aws:ecr:us-east-1:123456789012:repository/team/app:x",
            " arn:aws:ecr:us-east-1:123456789012:repository/team/app",
        ] {
            assert!(NamedRepository::parse(bad, &region).is_err(), "{bad:?}");
        }
    }
}
