//! The managed policies that exist in every account, under the names AWS gives
//! those of ECR. The texts are ours; they allow what AWS's allow.

/// A managed policy that nobody has to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AwsManagedPolicy {
    /// Its name; its ARN is `arn:aws:iam::aws:policy/<name>`.
    pub(crate) name: &'static str,
    /// Its unique id.
    pub(crate) id: &'static str,
    /// What it is for.
    pub(crate) description: &'static str,
    /// Its text.
    pub(crate) document: &'static str,
}

/// What their ARNs start with.
const ARN_PREFIX: &str = "arn:aws:iam::aws:policy/";

impl AwsManagedPolicy {
    /// Its ARN.
    pub(crate) fn arn(&self) -> String {
        format!("{ARN_PREFIX}{}", self.name)
    }

    /// The policy of an ARN.
    pub(crate) fn of_arn(arn: &str) -> Option<&'static Self> {
        let name = arn.strip_prefix(ARN_PREFIX)?;
        ALL.iter().find(|policy| policy.name == name)
    }
}

/// All of them, in order of name.
pub(crate) const ALL: &[AwsManagedPolicy] = &[
    AwsManagedPolicy {
        name: "AdministratorAccess",
        id: "ANPAIWMBCKSKIEE64ZLYK",
        description: "Everything in the account.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    AwsManagedPolicy {
        name: "AmazonEC2ContainerRegistryFullAccess",
        id: "ANPAIESRL7KD7IIVF6V4W",
        description: "Everything in the registry.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}"#,
    },
    AwsManagedPolicy {
        name: "AmazonEC2ContainerRegistryPowerUser",
        id: "ANPAJDNE5PIHROIBGGDDW",
        description: "Pushing and pulling in all repositories, but no management of them.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy","ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy","ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings","ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"],"Resource":"*"}]}"#,
    },
    AwsManagedPolicy {
        name: "AmazonEC2ContainerRegistryPullOnly",
        id: "ANPAZKAPJZG4QUA4BQJD3",
        description: "Pulling from all repositories.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","ecr:BatchImportUpstreamImage"],"Resource":"*"}]}"#,
    },
    AwsManagedPolicy {
        name: "AmazonEC2ContainerRegistryReadOnly",
        id: "ANPAIFYZPA37OOHVIH7KQ",
        description: "Pulling from and looking at all repositories.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy","ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy","ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings"],"Resource":"*"}]}"#,
    },
    AwsManagedPolicy {
        name: "IAMFullAccess",
        id: "ANPAI7XKCFMBPM3QQRRVQ",
        description: "Everything in the identity service.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:*","Resource":"*"}]}"#,
    },
];

#[cfg(test)]
mod tests {
    use ironwharf_policy::iam::{Policy, PolicyKind};

    use super::*;

    #[test]
    fn every_text_is_a_policy() {
        for policy in ALL {
            Policy::parse(policy.document, PolicyKind::Identity).unwrap();
            assert_eq!(AwsManagedPolicy::of_arn(&policy.arn()).unwrap().name, policy.name);
        }
        assert!(ALL.is_sorted_by_key(|policy| policy.name));
    }
}
