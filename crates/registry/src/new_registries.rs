//! What a registry starts with: where the operator wants it so, a template that
//! lets a push create its repository.
//!
//! A registry has no beginning of its own: any account has one in any Region.
//! It begins with the first request that is allowed, and remembers that it has,
//! so that a template which is deleted stays deleted.

use ironwharf_cloud::table::{Encryption, NewTemplate};
use ironwharf_model::{AccountId, Result, TagMutability, TemplatePrefix};
use ironwharf_wire::ecr::shapes::{EncryptionType, RCTAppliedFor};

use crate::region::RegionState;

impl RegionState {
    /// Gives a registry what new ones start with, if it has not got it yet.
    pub(crate) async fn start_registry(&self, account: &AccountId, now_ms: i64) -> Result<()> {
        if !self.create_on_push {
            return Ok(());
        }
        self.cloud.table.start_registry(account, &first_template(now_ms)).await?;
        self.policies.forget_registry(account);
        self.templates.forget(account);
        Ok(())
    }
}

fn first_template(now_ms: i64) -> NewTemplate {
    let encryption_type = EncryptionType::Aes256.as_str().to_owned();
    NewTemplate {
        prefix: TemplatePrefix::Root,
        given_prefix: TemplatePrefix::Root.to_string(),
        description: Some("Creates a repository when an image is pushed to it".to_owned()),
        applied_for: vec![RCTAppliedFor::CreateOnPush.as_str().to_owned()],
        mutability: TagMutability::default(),
        encryption: Encryption { encryption_type, kms_key: None },
        labels: std::collections::BTreeMap::new(),
        repository_policy: None,
        lifecycle_policy: None,
        custom_role_arn: None,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    }
}
