//! The operations of IAM.
//!
//! An operation reads records, decides, and writes what it changes in one
//! transaction under the condition that nothing it read has changed. When
//! something has, it is run again from the start.
//!
//! Invariant: [`SERVED`] is the only list. Dispatch, authorization and the
//! tests derive from it; an operation cannot run without a permit.

mod users;

use http::request::Parts;
use ironwharf_cloud::Table;
use ironwharf_cloud::table::identity::Change;
use ironwharf_cloud::table::jittered;
use ironwharf_model::principal::iam_arn;
use ironwharf_model::{AccountId, Error, PrincipalKind, Result};
use ironwharf_wire::iam::{OperationName, decode, response_xml};
use ironwharf_wire::query::Form;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Directory;
use crate::app::App;
use crate::audit;
use crate::authenticate::Caller;
use crate::authorize::{Details, Permit, Resource, authorize};

/// How often an operation is run when others change the same records.
const TRIES: u32 = 12;

/// One operation of IAM.
pub(crate) trait Operation {
    /// Its name.
    const NAME: OperationName;
    /// Its input, of which all constraints of the model hold.
    type Input: DeserializeOwned + Clone + Send + Sync;
    /// Its output.
    type Output: Serialize;

    /// What it acts on: an ARN of the caller's account (see [`Names`]) or `*`.
    fn resource(names: &Names<'_>, input: &Self::Input) -> impl Future<Output = Result<Acted>> + Send;

    /// Does it.
    fn run(call: &Call<'_>, input: Self::Input) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// What an operation acts on, as its authorization sees it.
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

    /// The user of a name; without one, the caller if that is a user.
    pub(crate) async fn user(&self, name: Option<&str>) -> Result<Acted> {
        let name = match (name, &self.caller.principal.kind) {
            (Some(name), _) => name,
            (None, PrincipalKind::User { name, .. }) => name.as_str(),
            (None, _) => return Ok(Acted::on(self.caller.principal.issuer_arn())),
        };
        let known = self.directory.user(self.account(), name).await?;
        let path = known.as_ref().map_or("/", |known| &known.path);
        let mut acted = Acted::on(iam_arn(self.account(), "user", path, name));
        acted.details.resource_tags = known.map(|known| known.grants.tags.clone()).unwrap_or_default();
        Ok(acted)
    }

    /// The role of a name.
    pub(crate) async fn role(&self, name: &str) -> Result<Acted> {
        let known = self.directory.role(self.account(), name).await?;
        let path = known.as_ref().map_or("/", |known| &known.path);
        let mut acted = Acted::on(iam_arn(self.account(), "role", path, name));
        acted.details.resource_tags = known.map(|known| known.grants.tags.clone()).unwrap_or_default();
        Ok(acted)
    }
}

/// An authorized call.
pub(crate) struct Call<'a> {
    pub(crate) directory: &'a Directory,
    pub(crate) permit: &'a Permit,
}

impl Call<'_> {
    pub(crate) fn table(&self) -> &Table {
        self.directory.table()
    }

    pub(crate) fn account(&self) -> &AccountId {
        &self.permit.caller().principal.account
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.permit.caller().now_s()
    }

    /// Writes changes, all or none.
    ///
    /// # Errors
    /// [`Error::ConcurrentModification`] if a record has changed since it was
    /// read: the operation is run again then.
    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<()> {
        if self.permit.audited(self.table()).change_identities(changes).await? {
            return Ok(());
        }
        let message = "Another request has changed the same user, group, role or policy; try again".to_owned();
        Err(Error::ConcurrentModification { message })
    }
}

/// Lists the operations that have behaviour.
macro_rules! operations {
    ($($module:ident :: $operation:ident),+ $(,)?) => {
        /// The operations that are served, by name.
        pub(crate) const SERVED: &[OperationName] = &[$(<$module::$operation as Operation>::NAME),+];

        /// Decodes the input, authorizes the call, runs it and encodes the output.
        pub(crate) async fn dispatch(
            app: &App,
            _parts: &Parts,
            caller: Caller,
            operation: OperationName,
            form: &Form,
            request_id: &str,
        ) -> Result<String> {
            match operation {
                $(<$module::$operation as Operation>::NAME => {
                    call::<$module::$operation>(app, caller, form, request_id).await
                })+
                other => Err(Error::ActionNotServed { service: "IAM", action: other.as_str().to_owned() }),
            }
        }
    };
}

operations! {
    users::CreateUser,
    users::GetUser,
}

async fn call<O: Operation>(app: &App, mut caller: Caller, form: &Form, request_id: &str) -> Result<String> {
    let directory = app.directory().await?;
    let input: O::Input = decode(O::NAME, form)?;
    let Acted { arn, details } = O::resource(&Names { directory: &directory, caller: &caller }, &input).await?;
    caller.parameters = audit::form_parameters(form);
    let account = caller.principal.account.clone();
    let resource = Resource::Identity { account: account.clone(), arn };
    let permit = authorize(caller, &format!("iam:{}", O::NAME), resource, &details).await?;
    let call = Call { directory: &directory, permit: &permit };
    let mut tries = 1;
    let result = loop {
        match O::run(&call, input.clone()).await {
            Err(Error::ConcurrentModification { .. }) if tries < TRIES => {
                tokio::time::sleep(jittered(tries)).await;
                tries += 1;
            }
            done => break done,
        }
    };
    permit.conclude(result.as_ref().err()).await;
    let output = result?;
    if !is_read(O::NAME) {
        directory.forget(&account);
    }
    response_xml(O::NAME, &output, request_id)
}

/// Whether an operation only looks.
fn is_read(operation: OperationName) -> bool {
    ["Get", "List", "Simulate"].iter().any(|verb| operation.as_str().starts_with(verb))
}
