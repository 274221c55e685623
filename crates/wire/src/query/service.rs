//! What the protocol has to know of a service.

use ironwharf_model::{Error, Result};
use serde::Serialize;

use super::form::Form;
use super::xml::{Fault, error_xml, response_xml};
use crate::error::codes;
use crate::service::shape::Shape;

/// A service that speaks the Query protocol.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name in sentences.
    pub name: &'static str,
    /// The value of the parameter `Version`.
    pub version: &'static str,
    /// The namespace of its answers.
    pub namespace: &'static str,
    /// Its operations that have no shapes here.
    pub other_operations: &'static [&'static str],
}

impl Service {
    /// The operation that a form asks for; `parse` knows the service's names.
    pub fn operation<T>(&self, form: &Form, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let action = form.action().filter(|action| !action.is_empty()).ok_or(Error::MissingAction)?;
        // What AWS says when there is none.
        let version = form.version().unwrap_or("NO_VERSION_SPECIFIED");
        let known = version == self.version;
        if known && let Some(operation) = parse(action) {
            return Ok(operation);
        }
        if known && self.other_operations.contains(&action) {
            return Err(Error::ActionNotServed { service: self.name, action: action.to_owned() });
        }
        Err(Error::InvalidAction { action: action.to_owned(), version: version.to_owned() })
    }

    /// The answer to an operation whose output has this shape.
    pub fn response<T: Serialize>(
        &self,
        operation: &str,
        shape: Option<&'static Shape>,
        output: &T,
        request_id: &str,
    ) -> Result<String> {
        let output = serde_json::to_value(output).map_err(Error::internal)?;
        let output = shape.map(|shape| (shape, &output));
        Ok(response_xml(self.namespace, operation, output, request_id))
    }

    /// The answer to a request that failed; its status is in [`codes`].
    #[must_use]
    pub fn error(&self, error: &Error, request_id: &str) -> String {
        let codes = codes(error);
        let fault = if codes.query_status.is_server_error() { Fault::Receiver } else { Fault::Sender };
        error_xml(self.namespace, fault, codes.query, &error.to_string(), request_id)
    }
}
