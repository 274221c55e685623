//! The account as a whole.

use std::collections::BTreeMap;

use ironwharf_cloud::table::identity::{
    AccountRecord, GroupRecord, IdentityRecord, OidcProviderRecord, PolicyRecord, RoleRecord, UserRecord,
};
use ironwharf_model::Result;
use ironwharf_wire::iam::Empty;
use ironwharf_wire::iam::shapes::{GetAccountSummaryResponse, SummaryKeyType};

use super::{Acted, Call};

operation! {
    GetAccountSummary(Empty) -> GetAccountSummaryResponse;
    on |_names, _input| Ok(Acted::any());
    run |call, _input| {
        let policies = call.table().all_identities::<PolicyRecord>(call.account(), "").await?;
        let versions = policies.iter().map(|policy| policy.versions.len()).sum();
        let account = call.table().identity::<AccountRecord>(call.account(), "").await?;
        let root_keys = account.map_or(1, |stored| stored.record.root_keys.len());
        let counts = [
            (SummaryKeyType::Users, count::<UserRecord>(call).await?),
            (SummaryKeyType::Groups, count::<GroupRecord>(call).await?),
            (SummaryKeyType::Roles, count::<RoleRecord>(call).await?),
            (SummaryKeyType::Policies, policies.len()),
            (SummaryKeyType::PolicyVersionsInUse, versions),
            (SummaryKeyType::Providers, count::<OidcProviderRecord>(call).await?),
            (SummaryKeyType::AccountAccessKeysPresent, root_keys.min(1)),
        ];
        let shown = |(key, count): (SummaryKeyType, usize)| (key, i32::try_from(count).unwrap_or(i32::MAX));
        let summary: BTreeMap<_, _> = counts.into_iter().map(shown).chain(QUOTAS).collect();
        Ok(GetAccountSummaryResponse { summary_map: Some(summary) })
    };
}

/// The quotas that hold, and what there is none of.
const QUOTAS: [(SummaryKeyType, i32); 18] = [
    (SummaryKeyType::AccessKeysPerUserQuota, 2),
    (SummaryKeyType::AccountMfaEnabled, 0),
    (SummaryKeyType::AccountPasswordPresent, 0),
    (SummaryKeyType::AccountSigningCertificatesPresent, 0),
    (SummaryKeyType::AssumeRolePolicySizeQuota, 2_048),
    (SummaryKeyType::AttachedPoliciesPerGroupQuota, 10),
    (SummaryKeyType::AttachedPoliciesPerRoleQuota, 10),
    (SummaryKeyType::AttachedPoliciesPerUserQuota, 10),
    (SummaryKeyType::GroupPolicySizeQuota, 5_120),
    (SummaryKeyType::GroupsPerUserQuota, 10),
    (SummaryKeyType::InstanceProfiles, 0),
    (SummaryKeyType::MfaDevices, 0),
    (SummaryKeyType::MfaDevicesInUse, 0),
    (SummaryKeyType::PolicySizeQuota, 6_144),
    (SummaryKeyType::RolePolicySizeQuota, 10_240),
    (SummaryKeyType::ServerCertificates, 0),
    (SummaryKeyType::UserPolicySizeQuota, 2_048),
    (SummaryKeyType::VersionsPerPolicyQuota, 5),
];

async fn count<R: IdentityRecord>(call: &Call<'_>) -> Result<usize> {
    Ok(call.table().all_identities::<R>(call.account(), "").await?.len())
}
