//! Issuers of web identity tokens that the account trusts.
//!
//! Invariant: the URL is stored as it is given, without its scheme: tokens name
//! their issuer to the letter.

use std::collections::BTreeSet;

use ironwharf_cloud::Table;
use ironwharf_cloud::table::identity::{Change, OidcProviderRecord, Stored};
use ironwharf_model::error::quoted;
use ironwharf_model::{AccountId, Error, Result};
use ironwharf_wire::iam::shapes::{
    AddClientIDToOpenIDConnectProviderRequest, CreateOpenIDConnectProviderRequest, CreateOpenIDConnectProviderResponse,
    DeleteOpenIDConnectProviderRequest, GetOpenIDConnectProviderRequest, GetOpenIDConnectProviderResponse,
    ListOpenIDConnectProvidersRequest, ListOpenIDConnectProvidersResponse, OpenIDConnectProviderListEntry,
    RemoveClientIDFromOpenIDConnectProviderRequest, UpdateOpenIDConnectProviderThumbprintRequest,
};
use ironwharf_wire::iam::{Empty, OperationName};

use super::documents::quota;
use super::holders::time;
use super::{Acted, Call, tags};

/// How many audiences a provider can have.
const MAX_CLIENT_IDS: usize = 100;

/// How many thumbprints a provider can have.
const MAX_THUMBPRINTS: usize = 5;

fn arn_of(account: &AccountId, url: &str) -> String {
    format!("arn:aws:iam::{account}:oidc-provider/{url}")
}

/// The provider of an ARN.
pub(super) async fn find(table: &Table, account: &AccountId, arn: &str) -> Result<Option<Stored<OidcProviderRecord>>> {
    let Some(url) = arn.strip_prefix(&arn_of(account, "")) else { return Ok(None) };
    table.identity::<OidcProviderRecord>(account, url).await
}

/// The provider of an ARN, and an error if there is none.
pub(super) async fn stored(call: &Call<'_>, arn: &str) -> Result<Stored<OidcProviderRecord>> {
    let message = || format!("OpenIDConnect Provider not found for arn {}", quoted(arn));
    find(call.table(), call.account(), arn).await?.ok_or_else(|| Error::NoSuchEntity { message: message() })
}

operation! {
    CreateOpenIDConnectProvider(CreateOpenIDConnectProviderRequest) -> CreateOpenIDConnectProviderResponse;
    on |names, input| {
        let url = input.url.strip_prefix("https://").unwrap_or(&input.url);
        let acted = Acted::on(arn_of(names.account(), url));
        Ok(acted.with_request_tags(tags::requested(input.tags.as_deref())))
    };
    run |call, input| create(call, input).await;
}

async fn create(
    call: &Call<'_>,
    input: CreateOpenIDConnectProviderRequest,
) -> Result<CreateOpenIDConnectProviderResponse> {
    let invalid = || Error::Validation { message: "Invalid Open ID Connect Provider URL".to_owned() };
    let url = issuer(&input.url).ok_or_else(invalid)?;
    let client_ids = distinct(input.client_id_list.unwrap_or_default());
    check_client_ids(&client_ids)?;
    let thumbprints = input.thumbprint_list.unwrap_or_default();
    check_thumbprints(&thumbprints)?;
    let provider = OidcProviderRecord {
        url: url.to_owned(),
        client_ids,
        thumbprints,
        created_at_s: call.now_s(),
        tags: tags::read(input.tags.as_deref().unwrap_or_default())?,
    };
    let arn = arn_of(call.account(), url);
    if !provider.tags.is_empty() {
        let acted = Acted::on(arn.clone()).with_request_tags(Some(provider.tags.clone()));
        call.require(OperationName::TagOpenIDConnectProvider, acted).await?;
    }
    if call.table().identity::<OidcProviderRecord>(call.account(), url).await?.is_some() {
        let message = format!("Provider with url {} already exists.", quoted(&input.url));
        return Err(Error::EntityAlreadyExists { message });
    }
    call.write(vec![Change::create(call.account(), &provider)?]).await?;
    let tags = tags::shape(&provider.tags);
    Ok(CreateOpenIDConnectProviderResponse { open_id_connect_provider_arn: Some(arn), tags })
}

operation! {
    GetOpenIDConnectProvider(GetOpenIDConnectProviderRequest) -> GetOpenIDConnectProviderResponse;
    on |names, input| names.oidc_provider(&input.open_id_connect_provider_arn).await;
    run |call, input| {
        let provider = stored(call, &input.open_id_connect_provider_arn).await?.record;
        Ok(GetOpenIDConnectProviderResponse {
            url: Some(provider.url),
            client_id_list: Some(provider.client_ids),
            thumbprint_list: Some(provider.thumbprints),
            create_date: Some(time(provider.created_at_s)),
            tags: tags::shape(&provider.tags),
        })
    };
}

operation! {
    ListOpenIDConnectProviders(ListOpenIDConnectProvidersRequest) -> ListOpenIDConnectProvidersResponse;
    on |_names, _input| Ok(Acted::any());
    run |call, _input| {
        let providers = call.table().all_identities::<OidcProviderRecord>(call.account(), "").await?;
        let entry = |provider: &OidcProviderRecord| OpenIDConnectProviderListEntry {
            arn: Some(arn_of(call.account(), &provider.url)),
        };
        let open_id_connect_provider_list = Some(providers.iter().map(entry).collect());
        Ok(ListOpenIDConnectProvidersResponse { open_id_connect_provider_list })
    };
}

operation! {
    DeleteOpenIDConnectProvider(DeleteOpenIDConnectProviderRequest) -> Empty;
    on |names, input| names.oidc_provider(&input.open_id_connect_provider_arn).await;
    run |call, input| {
        let stored = stored(call, &input.open_id_connect_provider_arn).await?;
        call.write(vec![Change::delete(call.account(), &stored)]).await?;
        Ok(Empty {})
    };
}

operation! {
    AddClientIDToOpenIDConnectProvider(AddClientIDToOpenIDConnectProviderRequest) -> Empty;
    on |names, input| names.oidc_provider(&input.open_id_connect_provider_arn).await;
    run |call, input| {
        let stored = stored(call, &input.open_id_connect_provider_arn).await?;
        let mut provider = stored.record.clone();
        if !provider.client_ids.contains(&input.client_id) {
            provider.client_ids.push(input.client_id);
            check_client_ids(&provider.client_ids)?;
            call.replace(&stored, &provider).await?;
        }
        Ok(Empty {})
    };
}

operation! {
    RemoveClientIDFromOpenIDConnectProvider(RemoveClientIDFromOpenIDConnectProviderRequest) -> Empty;
    on |names, input| names.oidc_provider(&input.open_id_connect_provider_arn).await;
    run |call, input| {
        let stored = stored(call, &input.open_id_connect_provider_arn).await?;
        let mut provider = stored.record.clone();
        provider.client_ids.retain(|id| *id != input.client_id);
        call.replace(&stored, &provider).await?;
        Ok(Empty {})
    };
}

operation! {
    UpdateOpenIDConnectProviderThumbprint(UpdateOpenIDConnectProviderThumbprintRequest) -> Empty;
    on |names, input| names.oidc_provider(&input.open_id_connect_provider_arn).await;
    run |call, input| {
        check_thumbprints(&input.thumbprint_list)?;
        let stored = stored(call, &input.open_id_connect_provider_arn).await?;
        let provider = OidcProviderRecord { thumbprints: input.thumbprint_list, ..stored.record.clone() };
        call.replace(&stored, &provider).await?;
        Ok(Empty {})
    };
}

/// An issuer's URL without its scheme, if it is one: `https`, a host and maybe
/// a port and a path, and nothing else.
fn issuer(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let is_of_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~' | b'=');
    // The last label of an address is a number, and no top-level domain is one.
    let is_name = host.rsplit('.').next().is_some_and(|label| label.bytes().any(|byte| byte.is_ascii_alphabetic()));
    let fits = is_name && host.split('.').all(is_label) && port.parse::<u16>().is_ok() && path.bytes().all(is_of_path);
    fits.then_some(rest)
}

fn distinct(ids: Vec<String>) -> Vec<String> {
    let mut known = BTreeSet::new();
    ids.into_iter().filter(|id| known.insert(id.clone())).collect()
}

fn check_client_ids(ids: &[String]) -> Result<()> {
    if ids.len() > MAX_CLIENT_IDS {
        return Err(quota("ClientIdsPerOpenIdConnectProvider", MAX_CLIENT_IDS));
    }
    Ok(())
}

fn check_thumbprints(thumbprints: &[String]) -> Result<()> {
    if thumbprints.len() > MAX_THUMBPRINTS {
        return Err(quota("ThumbprintsPerOpenIdConnectProvider", MAX_THUMBPRINTS));
    }
    let is_sha1 = |thumbprint: &String| thumbprint.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !thumbprints.iter().all(is_sha1) {
        let message = "A thumbprint must have 40 hexadecimal digits".to_owned();
        return Err(Error::InvalidInput { message });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_https_urls_of_a_host_and_a_path() {
        for (url, stored) in [
            ("https://token.actions.githubusercontent.com", "token.actions.githubusercontent.com"),
            ("https://gitlab.example.com:8443/a/b_c", "gitlab.example.com:8443/a/b_c"),
            ("https://tenant.example.com/", "tenant.example.com/"),
        ] {
            assert_eq!(issuer(url), Some(stored));
        }
        for bad in [
            "http://a.b",
            "https://",
            "https:///a",
            "https://127.0.0.1",
            "https://a b",
            "https://u@a.b",
            "https://a.b?c",
            "https://a.b#c",
            "https://a..b",
            "https://a.b:x",
            "https://a.b/%2e",
            "ftp://a.b",
            "a.b",
            "https://a.b/é",
        ] {
            assert_eq!(issuer(bad), None, "{bad}");
        }
    }
}
