//! `AssumeRoleWithWebIdentity`.

use http::request::Parts;
use ironwharf_model::{Error, Result};
use ironwharf_wire::query::Form;

use crate::app::App;

pub(crate) async fn answer(_app: &App, _parts: &Parts, _form: &Form, _request_id: &str) -> Result<String> {
    Err(Error::ActionNotServed { service: "STS", action: "AssumeRoleWithWebIdentity".to_owned() })
}
