//! How often a tenant may do what: ECR's default rates, per account and Region.
//!
//! A request over the rate waits for its turn first, and is refused only when
//! its turn is too far away. The buckets are this process's own: a deployment
//! of many functions allows as much in each.
//!
//! Invariant: one tenant's bucket is no other's; what one does takes nothing
//! from another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ironwharf_model::{AccountId, Error, Region, Result};

/// How long a request waits at most before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an upload waits: clients cannot repeat a body that they have begun
/// to send, so refusing one costs more than holding it.
const PATIENCE_OF_UPLOADS: Duration = Duration::from_secs(20);

/// How many buckets are kept at most; full ones are dropped first.
const CAPACITY: usize = 50_000;

/// Whether there are limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimits {
    /// None: one person's machine.
    Unlimited,
    /// ECR's default quotas, times this many percent.
    Percent(u32),
}

impl RateLimits {
    /// ECR's default quotas.
    pub const ECR: Self = Self::Percent(100);
}

/// Requests a second, per account and Region (Amazon ECR service quotas).
const RATES: [(&str, u32); 8] = [
    ("ecr:BatchCheckLayerAvailability", 1_000),
    ("ecr:BatchGetImage", 2_000),
    ("ecr:CompleteLayerUpload", 100),
    ("ecr:GetAuthorizationToken", 500),
    ("ecr:GetDownloadUrlForLayer", 3_000),
    ("ecr:InitiateLayerUpload", 100),
    ("ecr:PutImage", 10),
    ("ecr:UploadLayerPart", 500),
];

/// The rate of an action, with its name as one that lives as long as the program.
fn limited(action: &str) -> Option<(&'static str, u32)> {
    RATES.into_iter().find(|(limited, _)| *limited == action)
}

fn patience_for(action: &str) -> Duration {
    match action {
        "ecr:UploadLayerPart" | "ecr:CompleteLayerUpload" | "ecr:PutImage" => PATIENCE_OF_UPLOADS,
        _ => PATIENCE,
    }
}

/// Whose bucket it is: an account, in a Region, for an action.
type BucketName = (AccountId, Region, &'static str);

/// The buckets in use.
pub(crate) struct Throttle {
    limits: RateLimits,
    buckets: Mutex<HashMap<BucketName, Bucket>>,
}

/// A token bucket, kept as the moment at which it will be full: one number,
/// and no drift. It holds a second's worth.
#[derive(Clone, Copy)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// How long the next request has to wait; it is counted if it waits at
    /// most `patience`.
    fn take(&mut self, rate: u32, now: Instant, patience: Duration) -> std::result::Result<Duration, Duration> {
        let cost = Duration::from_secs(1) / rate;
        let after = self.full_at.max(now) + cost;
        // A full bucket is one second behind.
        let wait = (after - now).saturating_sub(Duration::from_secs(1));
        if wait > patience {
            return Err(wait);
        }
        self.full_at = after;
        Ok(wait)
    }
}

impl Throttle {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self { limits, buckets: Mutex::default() }
    }

    /// Waits until it is the caller's turn.
    ///
    /// # Errors
    /// [`Error::Throttled`] if that would take too long.
    pub(crate) async fn pass(&self, account: &AccountId, region: &Region, action: &str) -> Result<()> {
        let RateLimits::Percent(percent) = self.limits else { return Ok(()) };
        let Some((action, rate)) = limited(action) else { return Ok(()) };
        let rate = (rate.saturating_mul(percent) / 100).max(1);
        let taken = self.take(account, region, action, rate, Instant::now());
        match taken {
            Ok(Duration::ZERO) => Ok(()),
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Err(_) => {
                let name = action.strip_prefix("ecr:").unwrap_or(action);
                let message = format!("Rate exceeded: {name} is limited to {rate} requests a second for this account");
                Err(Error::Throttled { message })
            }
        }
    }

    fn take(
        &self,
        account: &AccountId,
        region: &Region,
        action: &'static str,
        rate: u32,
        now: Instant,
    ) -> std::result::Result<Duration, Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CAPACITY {
            buckets.retain(|_, bucket| bucket.full_at > now);
        }
        let bucket = buckets.entry((account.clone(), region.clone(), action)).or_insert(Bucket { full_at: now });
        bucket.take(rate, now, patience_for(action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut bucket = Bucket { full_at: start };
        for _ in 0..10 {
            assert_eq!(bucket.take(10, start, PATIENCE), Ok(Duration::ZERO));
        }
        // The next ten wait a tenth of a second longer each, the one after is refused.
        for position in 1..=10 {
            assert_eq!(bucket.take(10, start, PATIENCE), Ok(Duration::from_millis(100) * position));
        }
        assert_eq!(bucket.take(10, start, PATIENCE), Err(Duration::from_millis(1100)));
        // A refusal costs nothing: in two seconds everything is back.
        let later = start + Duration::from_secs(2);
        assert_eq!(bucket.take(10, later, PATIENCE), Ok(Duration::ZERO));
    }

    #[test]
    fn tenants_have_buckets_of_their_own() {
        let throttle = Throttle::new(RateLimits::ECR);
        let (a, b) = (AccountId::parse("111111111111").unwrap(), AccountId::parse("222222222222").unwrap());
        let region = Region::parse("us-east-1").unwrap();
        let now = Instant::now();
        let mut last = Ok(Duration::ZERO);
        for _ in 0..1_000 {
            last = throttle.take(&a, &region, "ecr:PutImage", 10, now);
        }
        assert!(last.is_err());
        assert_eq!(throttle.take(&b, &region, "ecr:PutImage", 10, now), Ok(Duration::ZERO));
    }
}
