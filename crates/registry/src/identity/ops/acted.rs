//! What an operation acts on, as its authorization sees it.
//!
//! Invariant: what is there already is named by its record, not by the request:
//! IAM's names are the same in any case of letters, and ARNs are not.

use std::collections::BTreeMap;

use ironwharf_cloud::table::identity::UserRecord;
use ironwharf_model::principal::iam_arn;
use ironwharf_model::{AccountId, PrincipalKind, Result};

use super::holders::Holder;
use super::managed_policies::Managed;
use super::oidc_providers;
use crate::authenticate::Caller;
use crate::authorize::Details;
use crate::identity::Directory;

/// An ARN, and what conditions can ask about besides.
pub(crate) struct Acted {
    pub(crate) arn: String,
    pub(crate) details: Details,
}

impl Acted {
    /// Nothing in particular.
    pub(crate) fn any() -> Self {
        Self::on("*".to_owned())
    }

    pub(crate) fn on(arn: String) -> Self {
        Self { arn, details: Details::default() }
    }

    /// With a condition key, if it has a value.
    pub(crate) fn with_key(mut self, key: &'static str, value: Option<&str>) -> Self {
        self.details.keys.extend(value.map(|value| (key, value.to_owned())));
        self
    }

    /// With the ARN of the managed policy that is spoken of.
    pub(crate) fn with_policy(self, arn: &str) -> Self {
        self.with_key("iam:PolicyARN", Some(arn))
    }

    /// With the ARN of the permissions boundary that is there or is to be.
    pub(crate) fn with_boundary(self, arn: Option<&str>) -> Self {
        self.with_key("iam:PermissionsBoundary", arn)
    }

    /// With the tags of the request, if it has any.
    pub(crate) fn with_request_tags(mut self, tags: Option<BTreeMap<String, String>>) -> Self {
        self.details.request_tags = tags;
        self
    }
}

/// Finds the ARNs of what inputs name.
pub(crate) struct Names<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) caller: &'a Caller,
}

impl Names<'_> {
    pub(crate) fn account(&self) -> &AccountId {
        &self.caller.principal.account
    }

    /// The user, group or role of a name.
    pub(crate) async fn holder<H: Holder>(&self, name: &str) -> Result<Acted> {
        Ok(self.find::<H>(name).await?.0)
    }

    /// The same with the permissions boundary that it has.
    pub(crate) async fn bounded<H: Holder>(&self, name: &str) -> Result<Acted> {
        let (acted, record) = self.find::<H>(name).await?;
        Ok(acted.with_boundary(record.as_ref().and_then(Holder::boundary)))
    }

    async fn find<H: Holder>(&self, name: &str) -> Result<(Acted, Option<H>)> {
        let stored = self.directory.table().identity::<H>(self.account(), name).await?;
        let Some(record) = stored.map(|stored| stored.record) else {
            return Ok((Acted::on(iam_arn(self.account(), H::WORD, "/", name)), None));
        };
        let mut acted = Acted::on(record.arn(self.account()));
        acted.details.resource_tags = record.tags().cloned().unwrap_or_default();
        Ok((acted, Some(record)))
    }

    /// The user of a name; without one, whoever calls.
    pub(crate) async fn user(&self, name: Option<&str>) -> Result<Acted> {
        match (name, &self.caller.principal.kind) {
            (Some(name), _) => self.holder::<UserRecord>(name).await,
            (None, PrincipalKind::User { name, .. }) => self.holder::<UserRecord>(name).await,
            (None, _) => Ok(Acted::on(self.caller.principal.issuer_arn())),
        }
    }

    /// The managed policy of an ARN.
    pub(crate) async fn policy(&self, arn: &str) -> Result<Acted> {
        let mut acted = Acted::on(arn.to_owned());
        if let Some(Managed::Own(stored)) = Managed::find(self.directory.table(), self.account(), arn).await? {
            acted.details.resource_tags = stored.record.tags;
        }
        Ok(acted)
    }

    /// The provider of an ARN.
    pub(crate) async fn oidc_provider(&self, arn: &str) -> Result<Acted> {
        let mut acted = Acted::on(arn.to_owned());
        if let Some(stored) = oidc_providers::find(self.directory.table(), self.account(), arn).await? {
            acted.details.resource_tags = stored.record.tags;
        }
        Ok(acted)
    }
}
