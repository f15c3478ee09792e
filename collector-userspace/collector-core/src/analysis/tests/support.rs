//! An analyzer made of a closure, and short ways to say common things.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::analysis::*;
use crate::event::AnalysisType;

pub(super) type Running = Pin<Box<dyn Future<Output = Result<AnalysisOutput, AnalysisError>> + Send>>;
type Act = Box<dyn Fn(AnalysisInput, CancellationToken) -> Running + Send + Sync>;

pub(super) struct Script {
    name: String,
    act: Act,
    /// How often it was asked.
    pub(super) calls: Arc<AtomicUsize>,
}

impl Script {
    /// Runs the stages that [`stage`] makes of the same name.
    pub(super) fn new<R>(
        name: &str,
        act: impl Fn(AnalysisInput, CancellationToken) -> R + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        R: Future<Output = Result<AnalysisOutput, AnalysisError>> + Send + 'static,
    {
        let act: Act = Box::new(move |input, cancel| Box::pin(act(input, cancel)));
        Arc::new(Self { name: name.to_owned(), act, calls: Arc::default() })
    }

    /// One that answers with its name.
    pub(super) fn good(name: &'static str) -> Arc<Self> {
        Self::new(name, move |_, _| async move { Ok(AnalysisOutput::Json(name.into())) })
    }

    /// One that never answers, and says when it was asked.
    pub(super) fn stuck(name: &str) -> (Arc<Self>, mpsc::Receiver<CancellationToken>) {
        let (tx, rx) = mpsc::channel(64);
        let script = Self::new(name, move |_, cancel| {
            let tx = tx.clone();
            async move {
                tx.send(cancel).await.unwrap();
                std::future::pending().await
            }
        });
        (script, rx)
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Analyzer for Script {
    fn name(&self) -> &str {
        &self.name
    }

    fn stages(&self) -> Vec<AnalysisStage> {
        vec![stage(&self.name)]
    }

    async fn analyze(
        &self,
        input: AnalysisInput,
        cancel: CancellationToken,
    ) -> Result<AnalysisOutput, AnalysisError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        (self.act)(input, cancel).await
    }
}

pub(super) fn stage(name: &str) -> AnalysisStage {
    AnalysisStage::Analysis(AnalysisType::Custom(name.to_owned()))
}

/// A workflow in which each stage waits for the one before.
pub(super) fn chain(names: &[&str]) -> AnalysisWorkflowDefinition {
    names.iter().fold(AnalysisWorkflowDefinition::new(), |workflow, name| workflow.with_stage(stage(name)))
}

pub(super) fn coordinator(
    config: AnalysisChainConfig,
    scripts: impl IntoIterator<Item = Arc<Script>>,
) -> AnalysisChainCoordinator {
    let coordinator = AnalysisChainCoordinator::new(config).unwrap();
    for script in scripts {
        coordinator.register(script).unwrap();
    }
    coordinator
}

/// Waits for the end of an execution, in virtual time that is over when nothing moves any more.
pub(super) async fn ended(handle: &ExecutionHandle) -> Arc<ExecutionReport> {
    tokio::time::timeout(3600 * SECOND, handle.wait()).await.unwrap()
}

/// Waits for a moment of an execution, in the same way.
pub(super) async fn seen(
    handle: &ExecutionHandle,
    what: impl FnMut(&Arc<ExecutionReport>) -> bool,
) -> Arc<ExecutionReport> {
    let mut progress = handle.progress();
    let seen = tokio::time::timeout(3600 * SECOND, progress.wait_for(what)).await.unwrap();
    Arc::clone(&seen.unwrap())
}

pub(super) fn states(report: &ExecutionReport) -> Vec<StageState> {
    report.stages.iter().map(|stage| stage.state).collect()
}

/// The two equations that the documentation promises.
pub(super) fn check_books(coordinator: &AnalysisChainCoordinator) -> AnalysisStatistics {
    let all = coordinator.statistics();
    let now = (all.running + all.waiting) as u64;
    assert_eq!(all.submitted, all.completed + all.failed + all.cancelled + all.timed_out + now, "{all:?}");
    for (name, one) in &all.analyzers {
        assert_eq!(
            one.runs,
            one.successes + one.failures + one.timeouts + one.panics + one.cancelled,
            "{name}: {one:?}"
        );
    }
    all
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
