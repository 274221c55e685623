//! The operations of the ECR API.
//!
//! Invariant: [`SERVED`] is the only list. Dispatch, authorization and the
//! tests derive from it; an operation cannot run without a permit.

mod authorization_token;
mod images;
mod layers;
mod paging;
mod registry;
mod repositories;

use http::request::Parts;
use ironwharf_model::{AccountId, Error, RepositoryName, Result};
use ironwharf_wire::ecr::{DecodeError, OperationName, decode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::authenticate::Caller;
use crate::authorize::{Permit, Resource, authorize};

/// One operation of the API.
pub(crate) trait Operation {
    /// Its name.
    const NAME: OperationName;
    /// Its input, of which all constraints of the model hold.
    type Input: DeserializeOwned + Send;
    /// Its output.
    type Output: Serialize;

    /// What it acts on.
    fn target(input: &Self::Input) -> Target<'_>;

    /// Does it.
    fn run(call: &Call<'_>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// What an input names: a registry (the caller's own if it names none) and
/// perhaps a repository in it.
pub(crate) struct Target<'a> {
    pub(crate) registry_id: Option<&'a str>,
    pub(crate) repository: Option<&'a str>,
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
            match operation {
                $(<$module::$operation as Operation>::NAME => {
                    call::<$module::$operation>(app, parts, caller, body).await
                })+
                other => Err(Error::OperationNotServed { operation: other.as_str().to_owned() }),
            }
        }
    };
}

operations! {
    authorization_token::GetAuthorizationToken,
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
    registry::DescribeRegistry,
    repositories::CreateRepository,
    repositories::DeleteRepository,
    repositories::DescribeRepositories,
}

async fn call<O: Operation>(app: &App, parts: &Parts, caller: Caller, body: &[u8]) -> Result<Vec<u8>> {
    let input: O::Input = decode(O::NAME, body).map_err(|error| match error {
        DecodeError::Serialization { message } => Error::Serialization { message },
        DecodeError::InvalidParameter { parameter, constraint } => Error::InvalidParameter { parameter, constraint },
    })?;
    let Target { registry_id, repository } = O::target(&input);
    let account = match registry_id {
        Some(id) => AccountId::parse(id)?,
        None => caller.principal.account.clone(),
    };
    let resource = match repository {
        Some(name) => Resource::Repository { account, name: RepositoryName::parse(name)? },
        None => Resource::Registry { account },
    };
    // Every operation has the IAM action of its own name.
    let permit = authorize(caller, &format!("ecr:{}", O::NAME), resource)?;
    let output = O::run(&Call { app, parts, permit }, input).await?;
    serde_json::to_vec(&output).map_err(Error::internal)
}
