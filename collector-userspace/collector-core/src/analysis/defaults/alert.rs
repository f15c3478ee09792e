//! Alerting: a positive verdict becomes an alert, and somebody gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::collect::CollectedSubject;
use crate::analysis::hash::FileDigests;
use crate::analysis::{AnalysisError, AnalysisInput, AnalysisOutput, AnalysisStage, Analyzer, ExecutionId};
use crate::bus::LocalEventBus;
use crate::event::{AlertEvent, AlertReason, AlertSeverity, CollectionEvent, EventMeta, Text};

/// What [`AlertingAnalyzer`] hands to a sink. On a bus it is an [`AlertEvent`].
///
/// ```text
/// id              5f3a9b1c-analysis-17/alerting
/// severity        high                        of the worst reason
/// title           /tmp/x: known-bad           the path or process, and the rules
/// execution, correlation_id, created          which execution made it, for what, and when
/// subject         path, pid, exec_id, times   as the stage collection gathered it
/// digests         sha256, blake3, size        if the file could be hashed
/// reasons         rule, severity, evidence    every rule that holds
/// unasked         ids                         rules for which something was not known
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alert {
    /// Names it, among those of other coordinators and other runs as well. The same for every attempt to deliver it.
    pub id: String,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// One line for people: what it is about, and which rules hold.
    pub title: String,
    /// The execution that made it.
    pub execution: ExecutionId,
    /// Ties requests, results and alerts together.
    pub correlation_id: Arc<str>,
    /// When it was made.
    pub created: SystemTime,
    /// What it is about.
    pub subject: CollectedSubject,
    /// Digests of the file, if it could be hashed.
    pub digests: Option<FileDigests>,
    /// Why, at least one.
    pub reasons: Vec<AlertReason>,
    /// Ids of rules that could not be asked.
    pub unasked: Vec<String>,
}

/// Who gets alerts. Implementations are bounded: what they cannot take they refuse, and the refusal is counted.
#[async_trait]
pub trait AlertSink: Send + Sync {
    /// Takes an alert. An alert that was refused for a while comes again, with the same id.
    ///
    /// # Errors
    /// Why it was not taken.
    async fn deliver(&self, alert: &Alert) -> Result<(), AlertSinkError>;
}

/// A channel takes what it has room for, without waiting.
#[async_trait]
impl AlertSink for mpsc::Sender<Alert> {
    async fn deliver(&self, alert: &Alert) -> Result<(), AlertSinkError> {
        self.try_send(alert.clone()).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AlertSinkError::Full { capacity: self.max_capacity() },
            mpsc::error::TrySendError::Closed(_) => AlertSinkError::Closed,
        })
    }
}

/// A bus publishes it as a [`CollectionEvent::Alert`], whose `source` is `analysis`.
#[async_trait]
impl AlertSink for LocalEventBus {
    async fn deliver(&self, alert: &Alert) -> Result<(), AlertSinkError> {
        // A bus that refuses is closed.
        self.publish(CollectionEvent::Alert(alert.into())).await.map_err(|_| AlertSinkError::Closed)
    }
}

impl From<&Alert> for AlertEvent {
    fn from(alert: &Alert) -> Self {
        let Alert {
            id,
            severity,
            title,
            execution: _,
            correlation_id,
            created,
            subject,
            digests,
            reasons,
            unasked,
        } = alert;
        Self {
            alert_id: id.clone(),
            severity: *severity,
            title: title.clone(),
            rules: reasons.clone(),
            unasked: unasked.clone(),
            condition: subject.condition().map(str::to_owned),
            correlation_id: correlation_id.to_string(),
            pid: subject.pid,
            process: subject.process.clone(),
            path: subject.path.as_deref().map(|path| Text::from(path.as_os_str().as_encoded_bytes())),
            size: digests.as_ref().map(|digests| digests.size).or(subject.size),
            sha256: digests.as_ref().map(|digests| digests.sha256.to_string()),
            blake3: digests.as_ref().map(|digests| digests.blake3.to_string()),
            timestamp: *created,
            meta: EventMeta { source: "analysis", ..EventMeta::default() },
        }
    }
}

/// Why an alert was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AlertSinkError {
    /// There is no room at the moment.
    #[error(
        "the alert was not delivered: {capacity} others wait to be taken; take them faster or allow more"
    )]
    Full {
        /// How many alerts may wait.
        capacity: usize,
    },
    /// Nobody takes alerts any more.
    #[error("the alert was not delivered: whoever took alerts is gone")]
    Closed,
    /// Something else.
    #[error("the alert was not delivered: {message}")]
    Failed {
        /// What failed, on what, and what to do.
        message: String,
        /// Whether it may work a little later.
        transient: bool,
    },
}

impl AlertSinkError {
    /// Whether another attempt makes sense.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Closed => false,
            Self::Failed { transient, .. } => *transient,
        }
    }
}

/// What became of a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlertOutcome {
    /// It was not positive.
    NotNeeded,
    /// The alert was taken.
    Delivered(Arc<Alert>),
    /// There is nobody to take alerts.
    Unrouted(Arc<Alert>),
}

/// Counters of alerts. Every attempt to deliver counts: `attempts = delivered + refused + unrouted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AlertStatistics {
    /// Attempts to deliver an alert.
    pub attempts: u64,
    /// Alerts that were taken.
    pub delivered: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Alerts for which there was nobody.
    pub unrouted: u64,
}

#[derive(Debug, Default)]
pub(crate) struct AlertCounters {
    delivered: AtomicU64,
    refused: AtomicU64,
    unrouted: AtomicU64,
}

impl AlertCounters {
    pub(crate) fn snapshot(&self) -> AlertStatistics {
        let [delivered, refused, unrouted] =
            [&self.delivered, &self.refused, &self.unrouted].map(|counter| counter.load(Ordering::Relaxed));
        AlertStatistics { attempts: delivered + refused + unrouted, delivered, refused, unrouted }
    }
}

/// Runs [`AnalysisStage::Alerting`]: makes an [`Alert`] of a positive verdict and hands it to the sink.
pub struct AlertingAnalyzer {
    sink: Option<Arc<dyn AlertSink>>,
    counters: Arc<AlertCounters>,
    /// Tells the ids of this coordinator from those of another.
    instance: u32,
}

impl AlertingAnalyzer {
    pub(crate) fn new(sink: Option<Arc<dyn AlertSink>>, counters: Arc<AlertCounters>) -> Self {
        Self { sink, counters, instance: crate::instance::number() }
    }
}

impl std::fmt::Debug for AlertingAnalyzer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sink, counters, instance: _ } = self;
        f.debug_struct("AlertingAnalyzer")
            .field("routed", &sink.is_some())
            .field("counters", counters)
            .finish()
    }
}

#[async_trait]
impl Analyzer for AlertingAnalyzer {
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "the trait lets analyzers have names made at run time"
    )]
    fn name(&self) -> &str {
        "alerting"
    }

    fn stages(&self) -> Vec<AnalysisStage> {
        vec![AnalysisStage::Alerting]
    }

    async fn analyze(
        &self,
        input: AnalysisInput,
        _: CancellationToken,
    ) -> Result<AnalysisOutput, AnalysisError> {
        let verdict =
            input.verdict().ok_or(AnalysisError::MissingInput { needs: AnalysisStage::Detection })?;
        let Some(severity) = verdict.severity else {
            return Ok(AnalysisOutput::Alert(AlertOutcome::NotNeeded));
        };
        let Self { sink, counters, instance } = self;
        let alert = Arc::new(alert(*instance, &input, severity, &verdict.reasons, &verdict.unasked));
        let Some(sink) = sink else {
            counters.unrouted.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(alert = alert.id, title = alert.title, "an alert goes nowhere: no sink is set");
            return Ok(AnalysisOutput::Alert(AlertOutcome::Unrouted(alert)));
        };
        let refused = sink.deliver(&alert).await.inspect_err(|_| {
            counters.refused.fetch_add(1, Ordering::Relaxed);
        });
        refused?;
        counters.delivered.fetch_add(1, Ordering::Relaxed);
        Ok(AnalysisOutput::Alert(AlertOutcome::Delivered(alert)))
    }
}

fn alert(
    instance: u32,
    input: &AnalysisInput,
    severity: AlertSeverity,
    reasons: &[AlertReason],
    unasked: &[String],
) -> Alert {
    let subject = input.known().into_owned();
    let what = match (&subject.path, &subject.process_name, subject.pid) {
        (Some(path), ..) => path.display().to_string(),
        (None, Some(name), _) => name.clone(),
        (None, None, Some(pid)) => format!("process {pid}"),
        (None, None, None) => "unknown subject".to_owned(),
    };
    let rules: Vec<_> = reasons.iter().map(|reason| reason.rule.as_str()).collect();
    Alert {
        id: format!("{instance:08x}-{}/{}", input.execution, input.stage_id),
        severity,
        title: format!("{what}: {}", rules.join(", ")),
        execution: input.execution,
        correlation_id: Arc::clone(&input.correlation_id),
        created: SystemTime::now(),
        subject,
        digests: input.digests().cloned(),
        reasons: reasons.to_vec(),
        unasked: unasked.to_vec(),
    }
}
