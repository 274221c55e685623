//! The operations of the ECR API.
//!
//! Invariant: [`SERVED`] is the only list. Dispatch, authorization and the
//! tests derive from it; an operation cannot run without a permit.

mod account_settings;
mod authorization_token;
mod creation_templates;
mod images;
mod layers;
mod lifecycle;
mod lifecycle_preview;
mod paging;
mod policy_text;
mod pull_time_exclusions;
mod referrers;
mod registry;
mod registry_policy;
pub(crate) mod repositories;
mod repository_policy;
mod repository_settings;
mod repository_tags;
mod storage_class;

use std::collections::BTreeMap;

use http::request::Parts;
use ironwharf_cloud::Mode;
use ironwharf_model::{AccountId, Error, NamedRepository, Region, RepositoryName, Result};
use ironwharf_wire::ecr::{DecodeError, OperationName, decode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::audit;
use crate::authenticate::Caller;
use crate::authorize::{Details, Permit, Resource, authorize_in_registry};

/// One operation of the API.
pub(crate) trait Operation {
    /// Its name.
    const NAME: OperationName;
    /// Its input, of which all constraints of the model hold.
    type Input: DeserializeOwned + Clone + Send;
    /// Its output.
    type Output: Serialize;

    /// What it acts on.
    fn target(input: &Self::Input) -> Target<'_>;

    /// The resource tags that the input gives, for operations that set some.
    fn request_tags(_: &Self::Input) -> Option<BTreeMap<String, String>> {
        None
    }

    /// The page size in the input and the one where it has none, for a listing that
    /// has pages.
    fn page_size(_: &mut Self::Input) -> Option<(&mut Option<i32>, i32)> {
        None
    }

    /// The values of condition keys that only this operation has.
    fn condition_keys(_: &Self::Input) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Does it.
    fn run(call: &Call<'_>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// What an input names: a registry (the caller's own if it names none), and
/// what in it.
pub(crate) struct Target<'a> {
    registry_id: Option<&'a str>,
    named: Named<'a>,
}

enum Named<'a> {
    Registry,
    Catalog,
    Repositories(Vec<&'a str>),
    Arn(&'a str),
}

impl<'a> Target<'a> {
    /// The caller's registry as a whole.
    pub(crate) const fn registry() -> Self {
        Self { registry_id: None, named: Named::Registry }
    }

    /// All repositories.
    pub(crate) const fn catalog(registry_id: Option<&'a str>) -> Self {
        Self { registry_id, named: Named::Catalog }
    }

    /// One repository.
    pub(crate) fn repository(registry_id: Option<&'a str>, name: &'a str) -> Self {
        Self { registry_id, named: Named::Repositories(vec![name]) }
    }

    /// Several repositories, each of which the caller must have the right to.
    pub(crate) fn repositories(registry_id: Option<&'a str>, names: &'a [String]) -> Self {
        Self { registry_id, named: Named::Repositories(names.iter().map(String::as_str).collect()) }
    }

    /// The repository with this ARN, in whatever registry.
    pub(crate) const fn arn(arn: &'a str) -> Self {
        Self { registry_id: None, named: Named::Arn(arn) }
    }

    fn resources(self, own: &AccountId, region: &Region) -> Result<Vec<Resource>> {
        let account = self.registry_id.map_or_else(|| Ok(own.clone()), AccountId::parse)?;
        Ok(match self.named {
            Named::Registry => vec![Resource::Registry { account }],
            Named::Catalog => vec![Resource::Catalog { account }],
            Named::Repositories(names) => {
                let repository =
                    |name| Ok(Resource::Repository { account: account.clone(), name: RepositoryName::parse(name)? });
                names.into_iter().map(repository).collect::<Result<_>>()?
            }
            Named::Arn(arn) => {
                let NamedRepository { account, repository } = NamedRepository::parse(arn, region)?;
                vec![Resource::Repository { account, name: repository }]
            }
        })
    }
}

/// The most bytes of a page as it stands in the answer of a function, of which a load
/// balancer takes 1 MB.
const PAGE_BYTES: usize = 900 * 1024;

/// How many bytes JSON has as a string in other JSON.
fn escaped_bytes(json: &[u8]) -> usize {
    json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// An authorized call.
pub(crate) struct Call<'a> {
    pub(crate) app: &'a App,
    pub(crate) parts: &'a Parts,
    pub(crate) permit: Permit,
}

/// Lists the operations that have behaviour.
macro_rules! operations {
    ($($module:ident :: $operation:ident),+ $(,)?) => {
        /// The operations that are served, by name.
        pub const SERVED: &[OperationName] = &[$(<$module::$operation as Operation>::NAME),+];

        /// Decodes the input, authorizes the call, runs it and encodes the output.
        pub(crate) async fn dispatch(
            app: &App,
            parts: &Parts,
            caller: Caller,
            operation: OperationName,
            body: &[u8],
        ) -> Result<Vec<u8>> {
            // Boxed, because the future of a match has room for all of its arms.
            match operation {
                $(<$module::$operation as Operation>::NAME => {
                    Box::pin(call::<$module::$operation>(app, parts, caller, body)).await
                })+
                other => {
                    let error = Error::OperationNotServed { operation: other.as_str().to_owned() };
                    audit::refused_input(&caller, &action(other), &error).await;
                    Err(error)
                }
            }
        }
    };
}

operations! {
    account_settings::GetAccountSetting,
    account_settings::PutAccountSetting,
    authorization_token::GetAuthorizationToken,
    creation_templates::CreateRepositoryCreationTemplate,
    creation_templates::DeleteRepositoryCreationTemplate,
    creation_templates::DescribeRepositoryCreationTemplates,
    creation_templates::UpdateRepositoryCreationTemplate,
    images::BatchDeleteImage,
    images::BatchGetImage,
    images::DescribeImages,
    images::ListImages,
    images::PutImage,
    layers::BatchCheckLayerAvailability,
    layers::CompleteLayerUpload,
    layers::GetDownloadUrlForLayer,
    layers::InitiateLayerUpload,
    layers::UploadLayerPart,
    lifecycle::DeleteLifecyclePolicy,
    lifecycle::GetLifecyclePolicy,
    lifecycle::PutLifecyclePolicy,
    lifecycle_preview::GetLifecyclePolicyPreview,
    lifecycle_preview::StartLifecyclePolicyPreview,
    pull_time_exclusions::DeregisterPullTimeUpdateExclusion,
    pull_time_exclusions::ListPullTimeUpdateExclusions,
    pull_time_exclusions::RegisterPullTimeUpdateExclusion,
    referrers::ListImageReferrers,
    registry::DescribeRegistry,
    registry_policy::DeleteRegistryPolicy,
    registry_policy::GetRegistryPolicy,
    registry_policy::PutRegistryPolicy,
    repositories::CreateRepository,
    repositories::DeleteRepository,
    repositories::DescribeRepositories,
    repository_policy::DeleteRepositoryPolicy,
    repository_policy::GetRepositoryPolicy,
    repository_policy::SetRepositoryPolicy,
    repository_settings::PutImageScanningConfiguration,
    repository_settings::PutImageTagMutability,
    repository_tags::ListTagsForResource,
    repository_tags::TagResource,
    repository_tags::UntagResource,
    storage_class::UpdateImageStorageClass,
}

async fn call<O: Operation>(app: &App, parts: &Parts, mut caller: Caller, body: &[u8]) -> Result<Vec<u8>> {
    let action = action(O::NAME);
    caller.parameters = serde_json::from_slice(body).ok().as_ref().and_then(audit::parameters);
    let (input, resources) = match read::<O>(&caller, body) {
        Ok(read) => read,
        Err(error) => {
            audit::refused_input(&caller, &action, &error).await;
            return Err(error);
        }
    };
    let mut resources = resources.into_iter();
    let first = resources.next().ok_or_else(|| Error::internal("an operation acts on nothing"))?;
    let (request_tags, keys) = (O::request_tags(&input), O::condition_keys(&input));
    let details = Details { request_tags, keys, ..Details::default() };
    let permit = authorize_in_registry(caller, mode(O::NAME), &action, first, &details).await?;
    for resource in resources {
        permit.require(&action, &resource, &details).await?;
    }
    let call = Call { app, parts, permit };
    let result = run::<O>(&call, input).await;
    call.permit.conclude(result.as_ref().err()).await;
    result
}

/// Runs an operation. A page that is too large is read again with as many members
/// as may fit: a page may always have fewer than were asked for.
async fn run<O: Operation>(call: &Call<'_>, mut input: O::Input) -> Result<Vec<u8>> {
    loop {
        let mut again = O::page_size(&mut input).is_some().then(|| input.clone());
        let output = serde_json::to_vec(&O::run(call, input).await?).map_err(Error::internal)?;
        let bytes = escaped_bytes(&output);
        let Some(mut smaller) = again.take().filter(|_| bytes > PAGE_BYTES) else { return Ok(output) };
        let Some((size, usual)) = O::page_size(&mut smaller) else { return Ok(output) };
        let asked = usize::try_from(size.unwrap_or(usual)).unwrap_or(1);
        if asked <= 1 {
            return Ok(output);
        }
        let fitting = (asked * PAGE_BYTES / bytes).clamp(1, asked - 1);
        *size = Some(i32::try_from(fitting).unwrap_or(1));
        input = smaller;
    }
}

/// The input of an operation, and what it acts on.
fn read<O: Operation>(caller: &Caller, body: &[u8]) -> Result<(O::Input, Vec<Resource>)> {
    let input: O::Input = decode(O::NAME, body).map_err(|error| match error {
        DecodeError::Serialization { message } => Error::Serialization { message },
        DecodeError::InvalidParameter { parameter, constraint } => Error::InvalidParameter { parameter, constraint },
    })?;
    let resources = O::target(&input).resources(&caller.principal.account, caller.region())?;
    Ok((input, resources))
}

/// The IAM action of an operation: that of its own name, but for the one that
/// has none (Service Authorization Reference: Amazon ECR).
#[must_use]
pub fn action(operation: OperationName) -> String {
    let named = match operation {
        OperationName::ListImageReferrers => OperationName::BatchGetImage,
        operation => operation,
    };
    format!("ecr:{named}")
}

/// Which sessions an operation takes: those that only look say so in their name.
fn mode(operation: OperationName) -> Mode {
    let looks = ["BatchCheck", "BatchGet", "Describe", "Get", "List"];
    let only_looks = looks.iter().any(|verb| operation.as_str().starts_with(verb));
    if only_looks { Mode::Read } else { Mode::Write }
}
