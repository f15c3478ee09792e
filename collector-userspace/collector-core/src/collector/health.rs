//! How well the sources do, as they themselves say and as the runtime sees it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::lane::Lane;
use crate::health::{ComponentHealth, HealthStatus};

/// How well one source does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SourceHealth {
    /// The source.
    pub name: &'static str,
    /// How well.
    pub status: HealthStatus,
    /// Why, where it is not healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When that was found.
    pub since: SystemTime,
}

impl From<&SourceHealth> for ComponentHealth {
    /// As `source NAME`.
    fn from(source: &SourceHealth) -> Self {
        let SourceHealth { name, status, reason, since } = source;
        Self { name: format!("source {name}"), status: *status, reason: reason.clone(), since: Some(*since) }
    }
}

/// How well a collector does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct CollectorHealth {
    /// The worst of its sources.
    pub status: HealthStatus,
    /// Each source, in order of registration.
    pub sources: Vec<SourceHealth>,
}

/// A question to the task that runs a source's `health_check`.
pub(crate) type HealthRequest = oneshot::Sender<Result<(), String>>;

/// Checks all lanes on every tick of the interval, for ever.
pub(super) async fn check_all(lanes: Vec<Arc<Lane>>, interval: Duration) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut checks = JoinSet::new();
        for lane in lanes.iter().filter(|lane| lane.is_running()) {
            checks.spawn(check(Arc::clone(lane), interval));
        }
        checks.join_all().await;
    }
}

/// Asks one source. The question is answered on the source's own thread: one that blocks does not answer.
async fn check(lane: Arc<Lane>, timeout: Duration) {
    let (reply, answer) = oneshot::channel();
    let asked = lane.ask_health(reply);
    let result = match tokio::time::timeout(timeout, answer).await {
        _ if !asked => Err("an earlier health check has not come back".to_owned()),
        Ok(Ok(result)) => result,
        // The source ended meanwhile; its end says more than this check could.
        Ok(Err(_)) => return,
        Err(_) => Err(format!("no answer to a health check within {timeout:?}")),
    };
    if let Err(reason) = &result {
        tracing::warn!(source = lane.name, reason, "source is not healthy");
    }
    lane.checked(result);
}
