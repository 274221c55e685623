//! STS, as far as the registry itself needs it: sessions of the tenant data
//! roles. The STS that the registry's users talk to is another one.
//!
//! Invariant: a session is only given to the holder of the service credentials,
//! for one of the two roles, with the tag `tenant` and no other, which is an
//! account id. The trust policies in `infra/template.yaml` say the same.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use ironwharf_cloud::random;
use ironwharf_cloud::tenancy::TENANT_TAG;
use ironwharf_model::AccountId;
use ironwharf_wire::query::{Fault, Form, error_xml};
use ironwharf_wire::sts::shapes::{AssumeRoleRequest, AssumeRoleResponse, AssumedRoleUser, Credentials};
use ironwharf_wire::sts::{OperationName, SIGNING_NAME, Timestamp, XML_NAMESPACE, decode, operation, response_xml};

use super::authentication::{Gate, Refusal};
use super::clock::now;
use super::connector::failed;
use super::sessions::{Sender, TenantSession};

/// How long a session lives if the request does not say: one role that asks for
/// another cannot have more.
const LONGEST_SECONDS: i32 = 60 * 60;

/// An HTTP client for the SDK's STS client.
pub(super) fn client(gate: Gate) -> SharedHttpClient {
    SharedHttpClient::new(SessionService { gate })
}

#[derive(Debug, Clone)]
struct SessionService {
    gate: Gate,
}

impl HttpClient for SessionService {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SessionService {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.answer(request))
    }
}

impl SessionService {
    fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (parts, body) = request.try_into_http1x().map_err(failed)?.into_parts();
        let body = body.bytes().unwrap_or_default();
        let request_id = random::uuid();
        let answered =
            self.gate.sender(SIGNING_NAME, &parts, body).and_then(|sender| self.assume(&sender, body, &request_id));
        let (status, xml): (u16, String) = match answered {
            Ok(xml) => (200, xml),
            Err(Refusal { code, message }) => {
                let status = if code == ACCESS_DENIED { 403 } else { 400 };
                (status, error_xml(XML_NAMESPACE, Fault::Sender, code, &message, &request_id))
            }
        };
        let mut response = HttpResponse::new(status.try_into().map_err(failed)?, SdkBody::from(xml));
        response.headers_mut().insert("content-type", "text/xml");
        Ok(response)
    }

    fn assume(&self, sender: &Sender, body: &[u8], request_id: &str) -> Result<String, Refusal> {
        let invalid = |message: String| Refusal { code: "ValidationError", message };
        let form = std::str::from_utf8(body).map_err(|error| invalid(error.to_string()))?;
        let form = Form::parse(form).map_err(|error| invalid(error.to_string()))?;
        if operation(&form).map_err(|error| invalid(error.to_string()))? != OperationName::AssumeRole {
            return Err(Refusal { code: "InvalidAction", message: "Only AssumeRole is embedded.".to_owned() });
        }
        let request: AssumeRoleRequest =
            decode(OperationName::AssumeRole, &form).map_err(|error| invalid(error.to_string()))?;
        let session = self.session(sender, &request)?;
        let seconds = request.duration_seconds.unwrap_or(LONGEST_SECONDS);
        if seconds > LONGEST_SECONDS {
            return Err(invalid(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles.".to_owned(),
            ));
        }
        let ends_at_s = now() + i64::from(seconds);
        let issued = self.gate.sessions.issue(&session, ends_at_s);
        let response = AssumeRoleResponse {
            assumed_role_user: Some(AssumedRoleUser {
                assumed_role_id: format!("{}:{}", issued.access_key_id, request.role_session_name),
                arn: self.gate.roles.session_arn(&session),
            }),
            credentials: Some(Credentials {
                access_key_id: issued.access_key_id,
                secret_access_key: issued.secret_access_key,
                session_token: issued.token,
                expiration: Timestamp::from_epoch_millis(ends_at_s.saturating_mul(1000)),
            }),
            ..AssumeRoleResponse::default()
        };
        response_xml(OperationName::AssumeRole, &response, request_id).map_err(|error| invalid(error.to_string()))
    }

    /// The session that the trust policies of the roles allow.
    fn session(&self, sender: &Sender, request: &AssumeRoleRequest) -> Result<TenantSession, Refusal> {
        let denied = || Refusal {
            code: ACCESS_DENIED,
            message: format!(
                "The sender is not authorized to perform: sts:AssumeRole on resource: {}",
                request.role_arn
            ),
        };
        let mode = self.gate.roles.mode_of(&request.role_arn).ok_or_else(denied)?;
        let tags = request.tags.as_deref().unwrap_or_default();
        let (Sender::Service, [tag]) = (sender, tags) else { return Err(denied()) };
        if tag.key != TENANT_TAG {
            return Err(denied());
        }
        let tenant = AccountId::parse(&tag.value).map_err(|_| denied())?;
        Ok(TenantSession { tenant, mode })
    }
}

const ACCESS_DENIED: &str = "AccessDenied";
