//! What refers to an image: signatures, SBOMs, attestations.

use ironwharf_cloud::table::ReferrerRecord;
use ironwharf_model::{ImageStatus, Result};
use ironwharf_wire::ecr::OperationName;
use ironwharf_wire::ecr::shapes::{
    ArtifactStatus, ArtifactStatusFilter, ImageReferrer, ListImageReferrersRequest, ListImageReferrersResponse,
};

use super::layers::digest_parameter;
use super::paging::PageRequest;
use super::{Call, Operation, Target};

/// ECR's page size where none is given.
const DEFAULT_RESULTS: i32 = 20;

/// How many are read at a time, and how often at most for one page: a filter
/// that matches little makes short pages.
const READ: usize = 100;
const READS: usize = 10;

pub(super) struct ListImageReferrers;

impl Operation for ListImageReferrers {
    const NAME: OperationName = OperationName::ListImageReferrers;
    type Input = ListImageReferrersRequest;
    type Output = ListImageReferrersResponse;

    fn target(input: &Self::Input) -> Target<'_> {
        Target::repository(input.registry_id.as_deref(), &input.repository_name)
    }

    fn page_size(input: &mut Self::Input) -> Option<(&mut Option<i32>, i32)> {
        Some((&mut input.max_results, DEFAULT_RESULTS))
    }

    /// Whether or not the subject is there, as `GET referrers`.
    async fn run(call: &Call<'_>, input: Self::Input) -> Result<Self::Output> {
        let permit = &call.permit;
        let subject = digest_parameter("subjectId.imageDigest", &input.subject_id.image_digest)?;
        let filter = input.filter.unwrap_or_default();
        let types = filter.artifact_types.unwrap_or_default();
        let status = filter.artifact_status.unwrap_or(ArtifactStatusFilter::Active);
        let repository = permit.find_repository().await?;
        let (name, incarnation) = (&repository.key.name, repository.key.incarnation.as_str());
        let selection = format!("{}|{name}|{incarnation}|{subject}|{status}|{types:?}", Self::NAME);
        let (max_results, token) = (input.max_results, input.next_token.as_deref());
        let page = PageRequest::open_of(DEFAULT_RESULTS, permit, &selection, max_results, token).await?;
        let table = permit.table()?;
        let (mut referrers, mut after, mut more) = (Vec::new(), page.position.clone(), true);
        'reading: for _ in 0..READS {
            let read = table.referrers(&repository.key, &subject, after.as_deref(), READ).await?;
            for referrer in read.items {
                // One more than the page holds: the next one starts after the last.
                if referrers.len() == page.limit {
                    break 'reading;
                }
                after = Some(referrer.digest.to_string());
                if has_type(&types, &referrer) && has_status(status, referrer.status) {
                    referrers.push(shown(referrer));
                }
            }
            more = read.more;
            if !more {
                break;
            }
        }
        let next_token = page.next(after.as_deref().filter(|_| more)).await?;
        Ok(ListImageReferrersResponse { referrers: Some(referrers), next_token })
    }
}

/// Without types in the filter, all are shown.
fn has_type(types: &[String], referrer: &ReferrerRecord) -> bool {
    types.is_empty() || referrer.artifact_type.as_ref().is_some_and(|own| types.contains(own))
}

const fn has_status(filter: ArtifactStatusFilter, status: ImageStatus) -> bool {
    match filter {
        ArtifactStatusFilter::Any => true,
        ArtifactStatusFilter::Active => matches!(status, ImageStatus::Active),
        ArtifactStatusFilter::Archived => matches!(status, ImageStatus::Archived),
        ArtifactStatusFilter::Activating => matches!(status, ImageStatus::Activating),
    }
}

fn shown(referrer: ReferrerRecord) -> ImageReferrer {
    ImageReferrer {
        digest: referrer.digest.to_string(),
        media_type: referrer.media_type,
        artifact_type: referrer.artifact_type,
        size: i64::try_from(referrer.size_bytes).unwrap_or(i64::MAX),
        annotations: Some(referrer.annotations).filter(|annotations| !annotations.is_empty()),
        artifact_status: Some(match referrer.status {
            ImageStatus::Active => ArtifactStatus::Active,
            ImageStatus::Archived => ArtifactStatus::Archived,
            ImageStatus::Activating => ArtifactStatus::Activating,
        }),
    }
}
