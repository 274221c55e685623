//! Finding principals: accounts, access keys and what they may do, from a cache.
//!
//! Invariant: every entry is at most [`BELIEVED`] old, so taking a right or a
//! key away ends access within that time, in this process and any other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ironwharf_cloud::table::identity::{
    AccessKeyRecord, AccountRecord, AccountStatus, GroupRecord, KeyUse, PolicyRecord, RoleRecord, Stored, UserRecord,
    Wanted,
};
use ironwharf_cloud::{SealedSecret, Table};
use ironwharf_model::{AccountId, Error, Principal, PrincipalKind, Result, account_of_access_key};
use ironwharf_policy::iam::{Policy, PolicyKind};

use super::aws_managed::AwsManagedPolicy;
use super::grants::{Grants, NamedPolicy};
use crate::config::RootCredentials;
#[cfg(doc)]
use crate::expiring::BELIEVED;
use crate::expiring::Expiring;
use crate::region::RegionState;

/// How often the use of a key is noted: IAM reports it in steps of this.
const NOTED_EVERY_S: i64 = 15 * 60;

/// An access key that may be used.
pub(crate) struct KnownKey {
    pub(crate) account: AccountId,
    /// Whose it is: a user's name, or the root's.
    pub(crate) user: Option<String>,
    pub(crate) secret: String,
}

/// What is known of an account.
#[derive(Clone)]
pub(crate) struct AccountState {
    pub(crate) active: bool,
    /// Tells it from an earlier account of the same id.
    pub(crate) incarnation: String,
    /// When the trail begins that the account may read.
    pub(crate) trail_begins_at_ms: i64,
    pub(crate) revoked_before_s: i64,
}

/// A user or role by its name in an account.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Holder {
    User(AccountId, String),
    Role(AccountId, String),
}

/// A user or role as it is now.
pub(crate) struct Known {
    /// Its unique id.
    pub(crate) id: String,
    /// Its path.
    pub(crate) path: String,
    /// What it may do.
    pub(crate) grants: Arc<Grants>,
}

/// The records of all accounts, read through a cache.
pub(crate) struct Directory {
    /// The Region the records are in.
    home: Arc<RegionState>,
    /// Root keys that come from the configuration.
    roots: Vec<RootCredentials>,
    accounts: Expiring<AccountId, AccountState>,
    keys: Expiring<String, Arc<KnownKey>>,
    /// Opened secrets, under what they were opened from: KMS is asked once.
    secrets: Expiring<String, String>,
    holders: Expiring<Holder, Arc<Known>>,
    /// Managed policies that sessions name, by account and ARN.
    managed: Expiring<(AccountId, String), NamedPolicy>,
}

impl Directory {
    pub(crate) fn new(home: Arc<RegionState>, roots: Vec<RootCredentials>) -> Self {
        let (accounts, keys, secrets, holders, managed) = Default::default();
        Self { home, roots, accounts, keys, secrets, holders, managed }
    }

    /// The table the records are in.
    pub(crate) fn table(&self) -> &Table {
        &self.home.cloud.table
    }

    /// The Region the records are in.
    pub(crate) fn home(&self) -> &Arc<RegionState> {
        &self.home
    }

    /// Forgets what is known of an account, because this process changed it.
    pub(crate) fn forget(&self, account: &AccountId) {
        self.accounts.forget(|known| known == account);
        self.keys.forget(|id| account_of_access_key(id).is_none_or(|of| of == *account));
        self.managed.forget(|(of, _)| of == account);
        self.holders.forget(|(Holder::User(of, _) | Holder::Role(of, _))| of == account);
    }

    /// Whether an account is one of the configuration's own: it exists without
    /// a record, and its principals operate the registry.
    pub(crate) fn is_operator(&self, account: &AccountId) -> bool {
        self.roots.iter().any(|root| root.account == *account)
    }

    /// The account of a root key that comes from the configuration.
    pub(crate) fn root_of_key(&self, id: &str) -> Option<AccountId> {
        self.roots.iter().find(|root| root.access_key_id == id).map(|root| root.account.clone())
    }

    /// The state of an account; `None` if there is no such account.
    pub(crate) async fn account(&self, account: &AccountId) -> Result<Option<AccountState>> {
        if let Some(state) = self.accounts.get(account) {
            return Ok(Some(state));
        }
        let read = Instant::now();
        let state = match self.table().identity::<AccountRecord>(account, "").await? {
            Some(Stored { record, .. }) => AccountState {
                active: record.status == AccountStatus::Active,
                incarnation: record.incarnation,
                trail_begins_at_ms: record.trail_begins_at_ms,
                revoked_before_s: record.revoked_before_s,
            },
            None if self.is_operator(account) => {
                AccountState { active: true, incarnation: String::new(), trail_begins_at_ms: 0, revoked_before_s: 0 }
            }
            None => return Ok(None),
        };
        self.accounts.put(account.clone(), state.clone(), read);
        Ok(Some(state))
    }

    /// The key of an id, if it is there and active.
    pub(crate) async fn key(&self, id: &str, now_s: i64, region: &str, service: &str) -> Result<Option<Arc<KnownKey>>> {
        if let Some(root) = self.roots.iter().find(|root| root.access_key_id == id) {
            let (account, secret) = (root.account.clone(), root.secret_access_key.clone());
            return Ok(Some(Arc::new(KnownKey { account, user: None, secret })));
        }
        if let Some(key) = self.keys.get(id) {
            return Ok(Some(key));
        }
        let Some(account) = account_of_access_key(id) else { return Ok(None) };
        let read = Instant::now();
        let Some(stored) = self.table().identity::<AccessKeyRecord>(&account, id).await? else { return Ok(None) };
        let AccessKeyRecord { user, active, sealed_secret, wrapped_key, .. } = stored.record;
        if !active {
            return Ok(None);
        }
        let secret = self.secret(&account, id, SealedSecret { sealed_secret, wrapped_key }).await?;
        let key = Arc::new(KnownKey { account: account.clone(), user, secret });
        self.keys.put(id.to_owned(), Arc::clone(&key), read);
        self.note_use(&account, id, now_s, region, service).await?;
        Ok(Some(key))
    }

    async fn secret(&self, account: &AccountId, id: &str, stored: SealedSecret) -> Result<String> {
        let name = format!("{id} {}", stored.sealed_secret);
        if let Some(secret) = self.secrets.get(&name) {
            self.secrets.put(name, secret.clone(), Instant::now());
            return Ok(secret);
        }
        let secret = self.home.cloud.key_secrets.open(account, id, &stored).await?;
        self.secrets.put(name, secret.clone(), Instant::now());
        Ok(secret)
    }

    /// Notes that a key was used, unless that was noted lately.
    async fn note_use(&self, account: &AccountId, id: &str, now_s: i64, region: &str, service: &str) -> Result<()> {
        let noted = self.table().key_use(account, id).await?;
        if noted.is_some_and(|noted| now_s - noted.at_s < NOTED_EVERY_S) {
            return Ok(());
        }
        let used = KeyUse { at_s: now_s, region: region.to_owned(), service: service.to_owned() };
        self.table().note_key_use(account, id, &used).await
    }

    /// A user as it is now.
    pub(crate) async fn user(&self, account: &AccountId, name: &str) -> Result<Option<Arc<Known>>> {
        let holder = Holder::User(account.clone(), name.to_lowercase());
        if let Some(known) = self.holders.get(&holder) {
            return Ok(Some(known));
        }
        let read = Instant::now();
        let Some(Stored { record, .. }) = self.table().identity::<UserRecord>(account, name).await? else {
            return Ok(None);
        };
        let known = Arc::new(self.known_user(account, record).await?);
        self.holders.put(holder, Arc::clone(&known), read);
        Ok(Some(known))
    }

    /// A role as it is now.
    pub(crate) async fn role(&self, account: &AccountId, name: &str) -> Result<Option<Arc<Known>>> {
        let holder = Holder::Role(account.clone(), name.to_lowercase());
        if let Some(known) = self.holders.get(&holder) {
            return Ok(Some(known));
        }
        let read = Instant::now();
        let Some(Stored { record, .. }) = self.table().identity::<RoleRecord>(account, name).await? else {
            return Ok(None);
        };
        let known = Arc::new(self.known_role(account, record).await?);
        self.holders.put(holder, Arc::clone(&known), read);
        Ok(Some(known))
    }

    /// What `principal` may do, if it is still there: the user or role behind
    /// it may be gone, or another one may have its name.
    pub(crate) async fn grants(&self, principal: &Principal) -> Result<Option<Arc<Grants>>> {
        let (known, id) = match &principal.kind {
            PrincipalKind::Root => return Ok(Some(Arc::default())),
            PrincipalKind::User { name, id, .. } => (self.user(&principal.account, name).await?, id),
            PrincipalKind::Session { role, id, .. } => (self.role(&principal.account, role).await?, id),
        };
        Ok(known.filter(|known| known.id == *id).map(|known| Arc::clone(&known.grants)))
    }

    /// The managed policy of an ARN; `None` if there is none.
    pub(crate) async fn managed_policy(&self, account: &AccountId, arn: &str) -> Result<Option<NamedPolicy>> {
        let name = (account.clone(), arn.to_owned());
        if let Some(policy) = self.managed.get(&name) {
            return Ok(Some(policy));
        }
        let read = Instant::now();
        let wanted = Wanted::<PolicyRecord>::new(names_of(account, [&name.1]));
        let (_, found) = self.table().identities::<GroupRecord, _>(account, &Wanted::new([]), &wanted).await?;
        let mut managed = ManagedPolicies::default();
        managed.add(account, found);
        let Some(text) = managed.text(arn) else { return Ok(None) };
        let policy = compile(arn.to_owned(), text)?;
        self.managed.put(name, policy.clone(), read);
        Ok(Some(policy))
    }

    /// A policy of a session: its text, or the ARN of a managed policy as it is
    /// now. One that has been deleted allows nothing.
    pub(crate) async fn session_policy(&self, account: &AccountId, policy: &str) -> Result<NamedPolicy> {
        if !policy.starts_with("arn:") {
            return compile("SessionPolicy".to_owned(), policy);
        }
        match self.managed_policy(account, policy).await? {
            Some(policy) => Ok(policy),
            None => compile(policy.to_owned(), NOTHING),
        }
    }

    pub(crate) async fn known_user(&self, account: &AccountId, user: UserRecord) -> Result<Known> {
        let groups = Wanted::<GroupRecord>::new(user.groups.iter().cloned());
        let arns = user.attached_policies.iter().chain(&user.boundary);
        let policies = Wanted::<PolicyRecord>::new(names_of(account, arns));
        let (groups, policies) = self.table().identities(account, &groups, &policies).await?;
        let groups: Vec<GroupRecord> = groups.into_iter().map(|stored| stored.record).collect();
        let mut managed = ManagedPolicies::default();
        managed.add(account, policies);
        // The groups' own managed policies, where the user does not have them.
        let more = groups.iter().flat_map(|group| &group.attached_policies).filter(|arn| !managed.has(arn));
        let (_, more) = self
            .table()
            .identities::<GroupRecord, _>(account, &Wanted::new([]), &Wanted::new(names_of(account, more)))
            .await?;
        managed.add(account, more);
        let mut identity = Vec::new();
        compile_inline(&mut identity, "user", &user.name, &user.inline_policies)?;
        managed.compile(&mut identity, &user.attached_policies)?;
        for group in &groups {
            compile_inline(&mut identity, "group", &group.name, &group.inline_policies)?;
            managed.compile(&mut identity, &group.attached_policies)?;
        }
        let boundary = managed.boundary(user.boundary.as_deref())?;
        let grants = Grants { identity, boundary, tags: user.tags, revoked_before_s: user.revoked_before_s };
        Ok(Known { id: user.id, path: user.path, grants: Arc::new(grants) })
    }

    pub(crate) async fn known_role(&self, account: &AccountId, role: RoleRecord) -> Result<Known> {
        let arns = role.attached_policies.iter().chain(&role.boundary);
        let policies = Wanted::<PolicyRecord>::new(names_of(account, arns));
        let (_, policies) = self.table().identities::<GroupRecord, _>(account, &Wanted::new([]), &policies).await?;
        let mut managed = ManagedPolicies::default();
        managed.add(account, policies);
        let mut identity = Vec::new();
        compile_inline(&mut identity, "role", &role.name, &role.inline_policies)?;
        managed.compile(&mut identity, &role.attached_policies)?;
        let boundary = managed.boundary(role.boundary.as_deref())?;
        let grants = Grants { identity, boundary, tags: role.tags, revoked_before_s: role.revoked_before_s };
        Ok(Known { id: role.id, path: role.path, grants: Arc::new(grants) })
    }
}

/// The name at the end of the ARN of a managed policy of `account`.
pub(crate) fn policy_name<'a>(account: &AccountId, arn: &'a str) -> Option<&'a str> {
    let rest = arn.strip_prefix("arn:aws:iam::")?.strip_prefix(account.as_str())?.strip_prefix(":policy/")?;
    rest.rsplit('/').next()
}

fn names_of<'a>(account: &AccountId, arns: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    arns.into_iter().filter_map(|arn| policy_name(account, arn)).map(str::to_owned).collect()
}

/// A policy that stands for one that is gone.
const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;

/// The texts of managed policies, by ARN.
#[derive(Default)]
struct ManagedPolicies(BTreeMap<String, String>);

impl ManagedPolicies {
    fn add(&mut self, account: &AccountId, policies: Vec<Stored<PolicyRecord>>) {
        for Stored { record, .. } in policies {
            let arn = ironwharf_model::principal::iam_arn(account, "policy", &record.path, &record.name);
            if let Some(document) = record.document() {
                self.0.insert(arn, document.to_owned());
            }
        }
    }

    fn has(&self, arn: &str) -> bool {
        self.0.contains_key(arn)
    }

    fn text(&self, arn: &str) -> Option<&str> {
        let of_aws = || AwsManagedPolicy::of_arn(arn).map(|policy| policy.document);
        self.0.get(arn).map(String::as_str).or_else(of_aws)
    }

    /// Compiles the policies of these ARNs. One that was deleted in this moment
    /// allows nothing; IAM deletes no policy that is attached.
    fn compile(&self, into: &mut Vec<NamedPolicy>, arns: &[String]) -> Result<()> {
        for arn in arns {
            if let Some(text) = self.text(arn) {
                into.push(compile(arn.clone(), text)?);
            }
        }
        Ok(())
    }

    /// The boundary; one that cannot be found forbids everything.
    fn boundary(&self, arn: Option<&str>) -> Result<Option<NamedPolicy>> {
        arn.map(|arn| compile(arn.to_owned(), self.text(arn).unwrap_or(NOTHING))).transpose()
    }
}

fn compile_inline(
    into: &mut Vec<NamedPolicy>,
    kind: &str,
    holder: &str,
    policies: &BTreeMap<String, String>,
) -> Result<()> {
    for (name, text) in policies {
        into.push(compile(format!("{kind}_{holder}_{name}"), text)?);
    }
    Ok(())
}

/// Compiles a stored policy, which was checked before it was stored.
pub(crate) fn compile(id: String, text: &str) -> Result<NamedPolicy> {
    let policy = Policy::parse(text, PolicyKind::Identity).map_err(Error::internal)?;
    Ok(NamedPolicy { id, policy: Arc::new(policy) })
}
