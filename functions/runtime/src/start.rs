//! What a cold start does: reads the environment, makes the clients.
//!
//! Nothing is provisioned, and no call is made: the template has created what
//! there is.

use ironwharf_cloud::Cloud;
use ironwharf_model::Region;
use ironwharf_registry::{App, PULL_LOG_TARGET, SingleRegion};
use tracing_subscriber::EnvFilter;

use crate::ingress::LOAD_LOG_TARGET;
use crate::settings::Settings;

/// Starts the log of a function.
///
/// # Errors
/// A sentence about why it cannot.
pub(crate) fn start_log() -> Result<(), String> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Whatever is logged, the jobs function needs to see the pulls, and a metric the load.
    let mut filter = filter;
    for target in [PULL_LOG_TARGET, LOAD_LOG_TARGET] {
        let always = format!("{target}=info").parse().map_err(|error| format!("cannot start logging: {error}"))?;
        filter = filter.add_directive(always);
    }
    // One that is there already is as good.
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).without_time().try_init();
    Ok(())
}

/// The registry that the environment describes, and its Region.
///
/// # Errors
/// A sentence about the variable that is missing or wrong.
pub(crate) async fn start(verifies_signatures: bool) -> Result<(App, Region), String> {
    start_log()?;
    let settings = Settings::read(verifies_signatures, |name| std::env::var(name).ok())?;
    let region = settings.app.region.clone();
    let cloud = Cloud::connect(settings.cloud).await;
    let app = App::new(settings.app, Box::new(SingleRegion(cloud)));
    app.log_pulls();
    Ok((app, region))
}
