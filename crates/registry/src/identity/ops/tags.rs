//! Tags of users, roles, managed policies and providers.
//!
//! Invariant: keys of tags are the same in any case of letters.

use std::collections::{BTreeMap, BTreeSet};

use ironwharf_cloud::table::identity::{
    IdentityRecord, OidcProviderRecord, PolicyRecord, RoleRecord, Stored, UserRecord,
};
use ironwharf_model::error::quoted;
use ironwharf_model::{Error, Result};
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{
    ListOpenIDConnectProviderTagsRequest, ListOpenIDConnectProviderTagsResponse, ListPolicyTagsRequest,
    ListPolicyTagsResponse, ListRoleTagsRequest, ListRoleTagsResponse, ListUserTagsRequest, ListUserTagsResponse, Tag,
    TagOpenIDConnectProviderRequest, TagPolicyRequest, TagRoleRequest, TagUserRequest,
    UntagOpenIDConnectProviderRequest, UntagPolicyRequest, UntagRoleRequest, UntagUserRequest,
};

use super::paging::Page;
use super::{Call, managed_policies, oidc_providers};

/// How many tags one thing can have.
const MAX_TAGS: usize = 50;

/// What can have tags.
trait Tagged: IdentityRecord + Clone {
    fn tags_mut(&mut self) -> &mut BTreeMap<String, String>;
}

macro_rules! tagged {
    ($record:ident, $name:ident, |$names:ident, $given:ident| $acted:expr, |$call:ident, $of:ident| $stored:expr;
        $tag:ident($tag_input:ident),
        $untag:ident($untag_input:ident),
        $list:ident($list_input:ident) -> $list_output:ident
    ) => {
        impl Tagged for $record {
            fn tags_mut(&mut self) -> &mut BTreeMap<String, String> {
                &mut self.tags
            }
        }

        operation! {
            $tag($tag_input) -> Empty;
            on |$names, input| {
                let $given = &input.$name;
                Ok($acted.with_request_tags(Some(collected(&input.tags))))
            };
            run |$call, input| {
                let tags = read(&input.tags)?;
                let $of = &input.$name;
                tag($call, &$stored, tags).await
            };
        }

        operation! {
            $untag($untag_input) -> Empty;
            on |$names, input| {
                let $given = &input.$name;
                // Conditions ask for the keys, of which there are no values.
                let tags = input.tag_keys.iter().map(|key| (key.clone(), String::new())).collect();
                Ok($acted.with_request_tags(Some(tags)))
            };
            run |$call, input| {
                let $of = &input.$name;
                untag($call, &$stored, &input.tag_keys).await
            };
        }

        operation! {
            $list($list_input) -> $list_output;
            on |$names, input| {
                let $given = &input.$name;
                Ok($acted)
            };
            run |$call, input| {
                let $of = &input.$name;
                let stored = $stored;
                let key = stored.record.key();
                let mut page = Page::open($call, Self::NAME, &key, input.max_items, input.marker.as_deref()).await?;
                let tags = page.slice(0, shapes(&stored.record.tags));
                let (is_truncated, marker) = page.end().await?;
                Ok($list_output { tags, is_truncated, marker })
            };
        }
    };
}

tagged!(
    UserRecord, user_name,
    |names, name| names.user(Some(name)).await?,
    |call, name| call.holder::<UserRecord>(name).await?;
    TagUser(TagUserRequest),
    UntagUser(UntagUserRequest),
    ListUserTags(ListUserTagsRequest) -> ListUserTagsResponse
);
tagged!(
    RoleRecord, role_name,
    |names, name| names.holder::<RoleRecord>(name).await?,
    |call, name| call.holder::<RoleRecord>(name).await?;
    TagRole(TagRoleRequest),
    UntagRole(UntagRoleRequest),
    ListRoleTags(ListRoleTagsRequest) -> ListRoleTagsResponse
);
tagged!(
    PolicyRecord, policy_arn,
    |names, arn| names.policy(arn).await?,
    |call, arn| managed_policies::own(call, Self::NAME, arn).await?;
    TagPolicy(TagPolicyRequest),
    UntagPolicy(UntagPolicyRequest),
    ListPolicyTags(ListPolicyTagsRequest) -> ListPolicyTagsResponse
);
tagged!(
    OidcProviderRecord, open_id_connect_provider_arn,
    |names, arn| names.oidc_provider(arn).await?,
    |call, arn| oidc_providers::stored(call, arn).await?;
    TagOpenIDConnectProvider(TagOpenIDConnectProviderRequest),
    UntagOpenIDConnectProvider(UntagOpenIDConnectProviderRequest),
    ListOpenIDConnectProviderTags(ListOpenIDConnectProviderTagsRequest) -> ListOpenIDConnectProviderTagsResponse
);

async fn tag<R: Tagged>(call: &Call<'_>, stored: &Stored<R>, tags: BTreeMap<String, String>) -> Result<Empty> {
    let mut record = stored.record.clone();
    let kept = record.tags_mut();
    for (key, value) in tags {
        remove(kept, &key);
        kept.insert(key, value);
    }
    if kept.len() > MAX_TAGS {
        let message = "The number of tags has reached the maximum limit.".to_owned();
        return Err(Error::LimitExceeded { message });
    }
    call.replace(stored, &record).await?;
    Ok(Empty {})
}

async fn untag<R: Tagged>(call: &Call<'_>, stored: &Stored<R>, keys: &[String]) -> Result<Empty> {
    let mut record = stored.record.clone();
    for key in keys {
        remove(record.tags_mut(), key);
    }
    call.replace(stored, &record).await?;
    Ok(Empty {})
}

fn remove(tags: &mut BTreeMap<String, String>, key: &str) {
    let folded = key.to_lowercase();
    tags.retain(|kept, _| kept.to_lowercase() != folded);
}

/// The tags of a request, as conditions see them.
pub(super) fn collected(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|Tag { key, value }| (key.clone(), value.clone())).collect()
}

/// The tags of a request that makes something; `None` if it gives none.
pub(super) fn requested(tags: Option<&[Tag]>) -> Option<BTreeMap<String, String>> {
    tags.filter(|tags| !tags.is_empty()).map(collected)
}

/// The tags of a request, checked.
pub(super) fn read(tags: &[Tag]) -> Result<BTreeMap<String, String>> {
    let invalid = |message: String| Error::InvalidInput { message };
    let mut folded = BTreeSet::new();
    for Tag { key, .. } in tags {
        let key = key.to_lowercase();
        if key.starts_with("aws:") {
            return Err(invalid(format!("The tag key {} starts with aws:, which is reserved.", quoted(&key))));
        }
        if !folded.insert(key) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(invalid(message.to_owned()));
        }
    }
    Ok(collected(tags))
}

/// Tags as answers show them.
pub(super) fn shapes(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

/// The same, where no tags are left out.
pub(super) fn shape(tags: &BTreeMap<String, String>) -> Option<Vec<Tag>> {
    (!tags.is_empty()).then(|| shapes(tags))
}
