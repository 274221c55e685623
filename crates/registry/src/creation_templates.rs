//! Creating repositories from templates.
//!
//! Invariant: only which templates there are is cached. The one that is applied
//! is read then, so what it says is never out of date.

use std::sync::Arc;
use std::time::Instant;

use ironwharf_cloud::Table;
use ironwharf_cloud::table::{FirstPolicies, NewTemplate, Repository, RepositoryKey};
use ironwharf_model::{AccountId, Error, RepositoryName, Result, TemplatePrefix};
use ironwharf_wire::ecr::shapes::RCTAppliedFor;

use crate::encryption::encryption_of_template;
use crate::expiring::Expiring;
use crate::jobs::lifecycle;
use crate::region::RegionState;
use crate::repositories::{id as repository_id, with_defaults};

/// How many templates a registry can have. (ECR names no number.)
pub(crate) const MAX_TEMPLATES: usize = 500;

/// The prefixes of a registry's templates, with what each is applied for.
type Prefixes = Arc<Vec<(TemplatePrefix, Vec<String>)>>;

/// Which templates there are in registries seen lately.
#[derive(Default)]
pub(crate) struct TemplateCache(Expiring<AccountId, Prefixes>);

impl TemplateCache {
    pub(crate) fn forget(&self, account: &AccountId) {
        self.0.forget(|known| known == account);
    }
}

impl RegionState {
    async fn template_prefixes(&self, table: &Table, account: &AccountId) -> Result<Prefixes> {
        if let Some(prefixes) = self.templates.0.get(account) {
            return Ok(prefixes);
        }
        let read = Instant::now();
        let prefixes = Arc::new(table.template_prefixes(account, MAX_TEMPLATES).await?);
        self.templates.0.put(account.clone(), Arc::clone(&prefixes), read);
        Ok(prefixes)
    }

    /// The template for a repository that is to be created for this reason: of
    /// those applied for it, the one with the longest prefix.
    pub(crate) async fn template_for(
        &self,
        table: &Table,
        account: &AccountId,
        name: &RepositoryName,
        reason: RCTAppliedFor,
    ) -> Result<Option<NewTemplate>> {
        let is_for = |applied_for: &[String]| applied_for.iter().any(|known| known == reason.as_str());
        loop {
            let prefixes = self.template_prefixes(table, account).await?;
            let fitting = prefixes.iter().filter(|(_, applied_for)| is_for(applied_for));
            let Some(prefix) = TemplatePrefix::longest(fitting.map(|(prefix, _)| prefix), name) else {
                return Ok(None);
            };
            match table.template(account, prefix).await? {
                Some(found) if is_for(&found.template.applied_for) => return Ok(Some(found.template)),
                // Changed since the prefixes were read. The next round starts
                // from what is there now, so this ends.
                _ => self.templates.forget(account),
            }
        }
    }

    /// Creates a repository from a template.
    ///
    /// # Errors
    /// [`Error::TemplateNotApplicable`] if something that it says cannot be
    /// done (any more), and as `create_repository`.
    pub(crate) async fn create_from_template(
        &self,
        table: &Table,
        account: &AccountId,
        name: &RepositoryName,
        template: NewTemplate,
        now_ms: i64,
    ) -> Result<Arc<Repository>> {
        let encryption =
            encryption_of_template(self, account, &template.encryption).await.map_err(|error| match error {
                fault if fault.is_fault() => fault,
                reason => Error::TemplateNotApplicable {
                    repository: repository_id(account, name),
                    prefix: template.given_prefix.clone(),
                    reason: reason.to_string(),
                },
            })?;
        let defaults = with_defaults(account, name, now_ms);
        let repository = Repository {
            key: RepositoryKey { encryption, ..defaults.key.clone() },
            mutability: template.mutability,
            labels: template.labels,
            ..defaults
        };
        let work = lifecycle::work(&repository.key, now_ms / 1000)?;
        let policies = FirstPolicies {
            repository: template.repository_policy.as_ref(),
            lifecycle: template.lifecycle_policy.as_deref().map(|policy| (policy, &work)),
        };
        self.create_repository(table, repository, policies).await
    }
}
