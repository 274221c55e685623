//! The keys of the table: every stored item, and where it is.
//!
//! Invariant: a key is only ever made by [`Key::encode`], and only from parsed
//! types and names that the API has checked. None of them can contain `#`, so
//! parts cannot run into each other.
//! Invariant: the partition key of a tenant's item starts with `T#<account>#`,
//! which is what the tenant's session policy pins (`dynamodb:LeadingKeys`).

use ironwharf_model::{AccountId, Digest, RepositoryName, Tag, TemplatePrefix};

use crate::Encryption;

/// Which incarnation of a repository name something belongs to. A repository
/// that is deleted and created again has another one, so nothing of the old
/// can show up in the new.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Incarnation(String);

impl Incarnation {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::random::hex::<8>())
    }

    /// Reads a stored one.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// 16 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The repository an item belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryKey {
    /// The registry's account.
    pub account: AccountId,
    /// The repository's name.
    pub name: RepositoryName,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// How its bytes are encrypted, which is the incarnation's for good.
    pub encryption: Encryption,
}

/// One item of the table.
///
/// What becomes of a tenant's items when its account is deleted, which it can be
/// only without repositories, so that another account may have the id:
///
/// - removed at once, in every Region: [`Key::Identity`] and [`Key::KeyUse`];
///   [`Key::RegistryPolicy`], [`Key::AccountSettings`], [`Key::PullTimeExclusions`]
///   and [`Key::CreationTemplate`]; [`Key::Account`] at the end;
/// - gone with the repositories: [`Key::CatalogEntry`] and [`Key::Repository`].
///   What was in a repository is under its incarnation, which no other has, so
///   [`Key::Image`], [`Key::Manifest`], [`Key::Tag`], [`Key::Referrer`],
///   [`Key::LayerLink`], [`Key::Reference`] and the policies and previews of
///   repositories are out of reach; [`Key::Work`] goes on to remove them;
/// - kept without anybody who could reach it: [`Key::Blob`] and [`Key::Review`]
///   are for the collector (a blob is read through a layer link only);
///   [`Key::Push`] and [`Key::Upload`] have random ids, an upload's is good for
///   one incarnation of a repository, and both expire;
/// - kept for the operator: [`Key::AuditEvent`]. The trail that an account can
///   read begins with the account.
#[expect(missing_docs, reason = "the fields are what their types say")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// The registry's list of repository names, one item each.
    CatalogEntry { account: &'a AccountId, name: &'a RepositoryName },
    /// A repository's settings.
    Repository { account: &'a AccountId, name: &'a RepositoryName },
    /// What is known of an image: everything listings need, without the manifest.
    Image { repository: &'a RepositoryKey, digest: &'a Digest },
    /// The bytes of an image's manifest.
    Manifest { repository: &'a RepositoryKey, digest: &'a Digest },
    /// A tag, with a copy of the manifest it names.
    Tag { repository: &'a RepositoryKey, tag: &'a Tag },
    /// A referrer of `subject`, whether or not the subject exists.
    Referrer { repository: &'a RepositoryKey, subject: &'a Digest, digest: &'a Digest },
    /// A blob of the account, in the encryption of `repository`: where its bytes
    /// are, and whether they may be used.
    Blob { repository: &'a RepositoryKey, digest: &'a Digest },
    /// That a repository holds a blob, and its callers may read it.
    LayerLink { repository: &'a RepositoryKey, digest: &'a Digest },
    /// That a push is about to commit, or has committed, a manifest that needs a blob.
    Reference { repository: &'a RepositoryKey, blob: &'a Digest, manifest: &'a Digest, push: &'a str },
    /// The outcome of a push.
    Push { account: &'a AccountId, push: &'a str },
    /// An upload in progress.
    Upload { account: &'a AccountId, upload: &'a str },
    /// Work for the collector: what a deletion or a lost race left behind.
    Review { account: &'a AccountId, review: &'a str },
    /// Work that goes on after an answer was given.
    Work { account: &'a AccountId, kind: super::WorkKind, id: &'a str },
    /// A wrapped data key that seals tokens, one a day.
    SealingKey { day: u32 },
    /// That there is an account.
    Account { account: &'a AccountId },
    /// A record of the identity service; its name is compared in lower case
    /// where IAM does.
    Identity { account: &'a AccountId, kind: IdentityKind, name: &'a str },
    /// When an access key was last used.
    KeyUse { account: &'a AccountId, key: &'a str },
    /// An event of the audit trail.
    AuditEvent { account: &'a AccountId, day: &'a str, shard: u8, event: &'a str },
    /// The policy of a registry.
    RegistryPolicy { account: &'a AccountId },
    /// The settings of a registry as a whole.
    AccountSettings { account: &'a AccountId },
    /// A repository creation template.
    CreationTemplate { account: &'a AccountId, prefix: &'a TemplatePrefix },
    /// The principals whose pulls do not count in a registry.
    PullTimeExclusions { account: &'a AccountId },
    /// The policy of a repository.
    RepositoryPolicy { repository: &'a RepositoryKey },
    /// The lifecycle policy of a repository.
    LifecyclePolicy { repository: &'a RepositoryKey },
    /// The last preview of a lifecycle policy.
    LifecyclePreview { repository: &'a RepositoryKey },
    /// A page of what an evaluation of a lifecycle policy found.
    LifecyclePage { repository: &'a RepositoryKey, run: &'a str, page: u32 },
}

/// What the identity service keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    /// The account itself.
    Account,
    /// A user.
    User,
    /// A group.
    Group,
    /// That a user is in a group.
    Membership,
    /// A role.
    Role,
    /// A managed policy.
    Policy,
    /// An access key.
    AccessKey,
    /// An issuer of web identity tokens.
    OidcProvider,
}

impl IdentityKind {
    /// What the sort keys of its records start with.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Account => "ACCOUNT#",
            Self::User => "USER#",
            Self::Group => "GROUP#",
            Self::Membership => "MEMBER#",
            Self::Role => "ROLE#",
            Self::Policy => "POLICY#",
            Self::AccessKey => "KEY#",
            Self::OidcProvider => "OIDC#",
        }
    }

    /// A name as it stands in a sort key. IAM's names are the same in any case
    /// of letters; ids and URLs are not names.
    fn fold(self, name: &str) -> String {
        match self {
            Self::Account => String::new(),
            Self::AccessKey | Self::OidcProvider => name.to_owned(),
            Self::User | Self::Group | Self::Membership | Self::Role | Self::Policy => name.to_lowercase(),
        }
    }
}

impl Key<'_> {
    /// The partition and sort key.
    #[must_use]
    pub fn encode(&self) -> (String, String) {
        match self {
            Self::CatalogEntry { account, name } => (catalog_partition(account), name.to_string()),
            Self::Repository { account, name } => (format!("T#{account}#R#{name}"), "REPOSITORY".to_owned()),
            Self::Image { repository, digest } => (repository_partition(repository), format!("{IMAGE}{digest}")),
            Self::Manifest { repository, digest } => (repository_partition(repository), format!("M#{digest}")),
            Self::Tag { repository, tag } => (repository_partition(repository), format!("{TAG}{tag}")),
            Self::Referrer { repository, subject, digest } => {
                (repository_partition(repository), format!("{}{digest}", referrer_prefix(subject)))
            }
            Self::Blob { repository, digest } => (blob_partition(repository, digest), "BLOB".to_owned()),
            Self::LayerLink { repository, digest } => {
                let RepositoryKey { name, incarnation, .. } = repository;
                (blob_partition(repository, digest), format!("{LAYER_LINK}{name}#{}", incarnation.as_str()))
            }
            Self::Reference { repository, blob, manifest, push } => {
                let prefix = reference_prefix(repository);
                (blob_partition(repository, blob), format!("{prefix}{manifest}#{push}"))
            }
            Self::Push { account, push } => (format!("T#{account}#P#{push}"), "PUSH".to_owned()),
            Self::Upload { account, upload } => (format!("T#{account}#U#{upload}"), "UPLOAD".to_owned()),
            Self::Review { account, review } => (format!("T#{account}#V#{review}"), "REVIEW".to_owned()),
            Self::Work { account, kind, id } => (format!("T#{account}#W#{id}"), kind.as_str().to_owned()),
            Self::SealingKey { day } => ("SYSTEM#SEALING-KEYS".to_owned(), format!("{day:08}")),
            Self::Account { account } => (ACCOUNTS.to_owned(), account.to_string()),
            Self::Identity { account, kind, name } => {
                (identity_partition(account), format!("{}{}", kind.prefix(), kind.fold(name)))
            }
            Self::KeyUse { account, key } => (identity_partition(account), format!("USE#{key}")),
            Self::AuditEvent { account, day, shard, event } => {
                (audit_partition(account, day, *shard), (*event).to_owned())
            }
            Self::RegistryPolicy { account } => (registry_partition(account), "POLICY".to_owned()),
            Self::AccountSettings { account } => (registry_partition(account), "SETTINGS".to_owned()),
            Self::CreationTemplate { account, prefix } => (template_partition(account), prefix.to_string()),
            Self::PullTimeExclusions { account } => (registry_partition(account), "PULL-TIME-EXCLUSIONS".to_owned()),
            Self::RepositoryPolicy { repository } => (repository_partition(repository), "POLICY".to_owned()),
            Self::LifecyclePolicy { repository } => (repository_partition(repository), "LIFECYCLE".to_owned()),
            Self::LifecyclePreview { repository } => (repository_partition(repository), "PREVIEW".to_owned()),
            Self::LifecyclePage { repository, run, page } => {
                (repository_partition(repository), format!("RUN#{run}#{page:06}"))
            }
        }
    }
}

/// The partition of what is decided for a registry as a whole.
pub(crate) fn registry_partition(account: &AccountId) -> String {
    format!("T#{account}#S")
}

/// The partition of a registry's creation templates.
pub(crate) fn template_partition(account: &AccountId) -> String {
    format!("T#{account}#T")
}

/// The partition that lists the accounts.
pub(crate) const ACCOUNTS: &str = "SYSTEM#ACCOUNTS";

/// One of the partitions of a day's audit events.
pub(crate) fn audit_partition(account: &AccountId, day: &str, shard: u8) -> String {
    format!("T#{account}#E#{day}#{shard}")
}

/// The partition of what the identity service keeps of an account.
pub(crate) fn identity_partition(account: &AccountId) -> String {
    format!("T#{account}#A")
}

/// Sort key prefix of images.
pub(crate) const IMAGE: &str = "I#";
/// Sort key prefix of tags.
pub(crate) const TAG: &str = "T#";
/// Sort key prefix of layer links.
pub(crate) const LAYER_LINK: &str = "LINK#";

/// The partition that lists an account's repositories. It is written when a
/// repository is created or deleted, never by a push or a pull.
pub(crate) fn catalog_partition(account: &AccountId) -> String {
    format!("T#{account}#C")
}

/// The partition of everything in one incarnation of a repository.
pub(crate) fn repository_partition(repository: &RepositoryKey) -> String {
    let RepositoryKey { account, name, incarnation, .. } = repository;
    format!("T#{account}#R#{name}#{}", incarnation.as_str())
}

/// The partition of one blob in the encryption of a repository: its state, its
/// links and its references.
pub(crate) fn blob_partition(repository: &RepositoryKey, digest: &Digest) -> String {
    let RepositoryKey { account, encryption, .. } = repository;
    match encryption.scope() {
        None => format!("T#{account}#B#{digest}"),
        Some(scope) => format!("T#{account}#B#{digest}#{scope}"),
    }
}

/// Sort key prefix of the references to a blob from one repository.
pub(crate) fn reference_prefix(repository: &RepositoryKey) -> String {
    format!("REF#{}#", repository.incarnation.as_str())
}

/// Sort key prefix of the referrers of a subject.
pub(crate) fn referrer_prefix(subject: &Digest) -> String {
    format!("S#{subject}#")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_distinct_and_under_their_tenant() {
        let account = AccountId::parse("123456789012").expect("account");
        let digest = Digest::sha256(b"");
        let tag = Tag::parse("REPOSITORY").expect("tag");
        let mut seen = BTreeSet::new();
        for name in ["tags", "blobs/uploads", "tags/x"] {
            let name = RepositoryName::parse(name).expect("name");
            let incarnation = Incarnation::random();
            let encryption = Encryption::Aes256;
            let repository = RepositoryKey { account: account.clone(), name: name.clone(), incarnation, encryption };
            let keys = [
                Key::CatalogEntry { account: &account, name: &name },
                Key::Repository { account: &account, name: &name },
                Key::Image { repository: &repository, digest: &digest },
                Key::Manifest { repository: &repository, digest: &digest },
                Key::Tag { repository: &repository, tag: &tag },
                Key::Referrer { repository: &repository, subject: &digest, digest: &digest },
                Key::LayerLink { repository: &repository, digest: &digest },
                Key::Reference { repository: &repository, blob: &digest, manifest: &digest, push: "p" },
                Key::RepositoryPolicy { repository: &repository },
                Key::LifecyclePolicy { repository: &repository },
                Key::LifecyclePreview { repository: &repository },
                Key::LifecyclePage { repository: &repository, run: "x", page: 0 },
            ];
            for key in keys {
                let encoded = key.encode();
                assert!(encoded.0.starts_with("T#123456789012#"), "{encoded:?}");
                assert!(seen.insert(encoded), "{key:?} is the key of another item");
            }
        }
        let repository = |encryption: Encryption| RepositoryKey {
            account: account.clone(),
            name: RepositoryName::parse("same").expect("name"),
            incarnation: Incarnation::from_stored("0011223344556677"),
            encryption,
        };
        let (plain, sealed, twice, other) = (
            repository(Encryption::Aes256),
            repository(Encryption::Kms { key: "k".to_owned() }),
            repository(Encryption::KmsDsse { key: "k".to_owned() }),
            repository(Encryption::Kms { key: "other".to_owned() }),
        );
        for repository in [&plain, &sealed, &twice, &other] {
            for key in [
                Key::Blob { repository, digest: &digest },
                Key::LayerLink { repository, digest: &digest },
                Key::Reference { repository, blob: &digest, manifest: &digest, push: "p" },
            ] {
                assert!(seen.insert(key.encode()), "{key:?} is the key of another item");
            }
        }
        for key in [
            Key::Push { account: &account, push: "x" },
            Key::Upload { account: &account, upload: "x" },
            Key::Review { account: &account, review: "x" },
            Key::RegistryPolicy { account: &account },
            Key::AccountSettings { account: &account },
            Key::CreationTemplate { account: &account, prefix: &TemplatePrefix::Root },
            Key::CreationTemplate { account: &account, prefix: &TemplatePrefix::Path("root".to_owned()) },
            Key::PullTimeExclusions { account: &account },
            Key::AuditEvent { account: &account, day: "2026-01-01", shard: 0, event: "x" },
            Key::KeyUse { account: &account, key: "x" },
            Key::Identity { account: &account, kind: IdentityKind::Account, name: "x" },
            Key::Identity { account: &account, kind: IdentityKind::User, name: "x" },
            Key::Identity { account: &account, kind: IdentityKind::Group, name: "x" },
            Key::Identity { account: &account, kind: IdentityKind::Membership, name: "x" },
            Key::Identity { account: &account, kind: IdentityKind::Role, name: "x" },
            Key::Identity { account: &account, kind: IdentityKind::Policy, name: "x" },
            Key::Identity { account: &account, kind: IdentityKind::AccessKey, name: "x" },
            Key::Identity { account: &account, kind: IdentityKind::OidcProvider, name: "x" },
            Key::Account { account: &account },
            Key::Work { account: &account, kind: crate::table::WorkKind::Purge, id: "x" },
            Key::Work { account: &account, kind: crate::table::WorkKind::Lifecycle, id: "x" },
            Key::Work { account: &account, kind: crate::table::WorkKind::LifecyclePreview, id: "x" },
            Key::SealingKey { day: 1 },
        ] {
            assert!(seen.insert(key.encode()), "{key:?} is the key of another item");
        }
    }
}
