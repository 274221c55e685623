//! What a cold start does: reads the environment, makes the clients.
//!
//! Nothing is provisioned, and no call is made: the template has created what
//! there is.

use ironwharf_cloud::Cloud;
use ironwharf_model::Region;
use ironwharf_registry::{App, PULL_LOG_TARGET, SingleRegion};
use tracing_subscriber::EnvFilter;

use crate::settings::Settings;

/// The registry that the environment describes, and its Region.
///
/// # Errors
/// A sentence about the variable that is missing or wrong.
pub(crate) async fn start(verifies_signatures: bool) -> Result<(App, Region), String> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Whatever is logged, the jobs function needs to see the pulls.
    let pulls = format!("{PULL_LOG_TARGET}=info").parse().map_err(|error| format!("cannot start logging: {error}"))?;
    let filter = filter.add_directive(pulls);
    // One that is there already is as good.
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).without_time().try_init();
    let settings = Settings::read(verifies_signatures, |name| std::env::var(name).ok())?;
    let region = settings.app.region.clone();
    let cloud = Cloud::connect(settings.cloud).await;
    let app = App::new(settings.app, Box::new(SingleRegion(cloud)));
    app.log_pulls();
    Ok((app, region))
}
