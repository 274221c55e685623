//! `maxResults` and `nextToken`.
//!
//! Invariant: a token is sealed and bound to the caller's registry, the
//! operation and the selection it was given for; any other use is refused.

use ironwharf_model::{Error, Result};
use ironwharf_wire::seal::PageToken;

use crate::authorize::Permit;

/// ECR's page size where none is given.
pub(super) const DEFAULT_RESULTS: i32 = 100;

/// The page a caller asks for.
pub(super) struct PageRequest<'a> {
    permit: &'a Permit,
    listing: String,
    pub(super) limit: usize,
    /// Where the page before ended.
    pub(super) position: Option<String>,
}

impl<'a> PageRequest<'a> {
    /// `selection` is whatever decides which items are listed.
    pub(super) async fn open(
        permit: &'a Permit,
        selection: &str,
        max_results: Option<i32>,
        token: Option<&str>,
    ) -> Result<Self> {
        Self::open_of(DEFAULT_RESULTS, permit, selection, max_results, token).await
    }

    /// The same for an operation with another page size where none is given.
    pub(super) async fn open_of(
        default_results: i32,
        permit: &'a Permit,
        selection: &str,
        max_results: Option<i32>,
        token: Option<&str>,
    ) -> Result<Self> {
        let listing = format!("{}|{selection}", permit.registry());
        // The model lets no other numbers through.
        let limit = usize::try_from(max_results.unwrap_or(default_results)).unwrap_or(1);
        let position = match token.filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => Some(open(permit, &listing, token).await?),
        };
        Ok(Self { permit, listing, limit, position })
    }

    /// The token for the page after one that ends at `position`.
    pub(super) async fn next(&self, position: Option<&str>) -> Result<Option<String>> {
        let Some(position) = position else { return Ok(None) };
        let key = self.permit.region().keyring.current(self.permit.caller().now_s()).await?;
        key.seal_page(&self.listing, position).map(Some).map_err(Error::internal)
    }
}

async fn open(permit: &Permit, listing: &str, token: &str) -> Result<String> {
    let invalid = || Error::invalid_parameter("nextToken", "Invalid pagination token");
    let token = PageToken::parse(token).map_err(|_| invalid())?;
    let key = permit.region().keyring.of_day(token.day, permit.caller().now_s()).await?.ok_or_else(invalid)?;
    key.open_page(listing, &token).map_err(|_| invalid())
}
