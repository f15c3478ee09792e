//! Executions that wait, run and have ended, all bounded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::config::AnalysisChainConfig;
use super::error::AnalysisChainError;
use super::execution::Execution;
use super::report::{ExecutionId, ExecutionReport, WorkflowState};
use super::run;
use super::statistics::AnalysisStatistics;
use crate::event::TriggerPriority;

/// All executions of a coordinator. It lives as long as somebody has a handle; the coordinator closes it.
pub(super) struct Executions {
    pub(super) config: AnalysisChainConfig,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    next_id: u64,
    /// The most urgent first, of equals the oldest.
    waiting: BTreeMap<(Reverse<TriggerPriority>, ExecutionId), Waiting>,
    running: HashMap<ExecutionId, Arc<Execution>>,
    /// In the order in which they ended.
    ended: VecDeque<(Instant, Arc<ExecutionReport>)>,
    /// Somebody is starting executions, and will look again before it stops.
    starting: bool,
    counts: Counts,
}

struct Waiting {
    execution: Arc<Execution>,
    /// Where whoever submitted it wants it to run.
    runtime: Handle,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    submitted: u64,
    refused: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
    timed_out: u64,
    reports_dropped: u64,
}

impl Executions {
    pub(super) fn new(config: AnalysisChainConfig) -> Arc<Self> {
        Arc::new(Self { config, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an execution in, to run now or later in the runtime this is called in.
    pub(super) fn submit(
        self: &Arc<Self>,
        priority: TriggerPriority,
        make: impl FnOnce(ExecutionId) -> Execution,
    ) -> Result<Arc<Execution>, AnalysisChainError> {
        let runtime = Handle::try_current().map_err(|_| AnalysisChainError::NoRuntime)?;
        let execution = {
            let mut state = self.lock();
            if state.closed {
                return Err(AnalysisChainError::ShutDown);
            }
            let limit = self.config.max_waiting_workflows;
            let busy = state.running.len() >= self.config.max_concurrent_workflows;
            if busy && state.waiting.len() >= limit {
                state.counts.refused += 1;
                return Err(AnalysisChainError::QueueFull { limit });
            }
            state.next_id += 1;
            state.counts.submitted += 1;
            let execution = Arc::new(make(ExecutionId(state.next_id)));
            let waiting = Waiting { execution: Arc::clone(&execution), runtime };
            state.waiting.insert((Reverse(priority), execution.id), waiting);
            execution
        };
        self.start_waiting();
        Ok(execution)
    }

    /// Starts what may start. A runtime that has ended drops what it is given at once, which ends that execution and
    /// leads back here; then the call further out goes on, so that a long queue does not become a deep stack.
    fn start_waiting(self: &Arc<Self>) {
        if std::mem::replace(&mut self.lock().starting, true) {
            return;
        }
        loop {
            let next = {
                let mut state = self.lock();
                let free = state.running.len() < self.config.max_concurrent_workflows;
                let next = if free { state.waiting.pop_first() } else { None };
                let Some((_, next)) = next else {
                    state.starting = false;
                    return;
                };
                state.running.insert(next.execution.id, Arc::clone(&next.execution));
                next
            };
            let place = Place {
                execution: next.execution,
                executions: Arc::clone(self),
                end: WorkflowState::Cancelled,
            };
            next.runtime.spawn(run::execute(place));
        }
    }

    /// Ends an execution; `false` if it is not known or has ended.
    pub(super) fn cancel(self: &Arc<Self>, id: ExecutionId) -> bool {
        let waiting = {
            let mut state = self.lock();
            if let Some(execution) = state.running.get(&id) {
                // It ends by itself, in its own task.
                execution.cancel.cancel();
                return true;
            }
            let Some(key) = state.waiting.keys().find(|(_, waiting)| *waiting == id).copied() else {
                return false;
            };
            state.waiting.remove(&key)
        };
        if let Some(waiting) = &waiting {
            self.conclude(&waiting.execution, WorkflowState::Cancelled);
        }
        waiting.is_some()
    }

    /// Takes nothing in from now on, cancels everything, and returns what is still ending.
    pub(super) fn close(self: &Arc<Self>) -> Vec<Arc<Execution>> {
        let (waiting, running) = {
            let mut state = self.lock();
            state.closed = true;
            (std::mem::take(&mut state.waiting), state.running.values().cloned().collect::<Vec<_>>())
        };
        for waiting in waiting.into_values() {
            self.conclude(&waiting.execution, WorkflowState::Cancelled);
        }
        for execution in &running {
            execution.cancel.cancel();
        }
        running
    }

    /// Files an execution that has ended. Whoever is told so finds the books in order.
    fn conclude(self: &Arc<Self>, execution: &Execution, end: WorkflowState) {
        let report = execution.concluded(end);
        {
            let mut state = self.lock();
            state.running.remove(&execution.id);
            let counts = &mut state.counts;
            match end {
                WorkflowState::Completed => counts.completed += 1,
                WorkflowState::Failed => counts.failed += 1,
                WorkflowState::TimedOut => counts.timed_out += 1,
                WorkflowState::Cancelled | WorkflowState::Waiting | WorkflowState::Running => {
                    counts.cancelled += 1;
                }
            }
            state.ended.push_back((Instant::now(), Arc::clone(&report)));
            self.drop_old_reports(&mut state);
        }
        execution.publish(report);
        self.start_waiting();
    }

    fn drop_old_reports(&self, state: &mut State) {
        let AnalysisChainConfig { max_completed_workflows: most, completed_retention, .. } = &self.config;
        let is_old = |since: &Instant| since.elapsed() > *completed_retention;
        while state.ended.len() > *most || state.ended.front().is_some_and(|(since, _)| is_old(since)) {
            state.ended.pop_front();
            state.counts.reports_dropped += 1;
        }
    }

    /// The report of an execution that waits, runs, or ended not too long ago.
    pub(super) fn report(&self, id: ExecutionId) -> Option<Arc<ExecutionReport>> {
        let mut state = self.lock();
        self.drop_old_reports(&mut state);
        if let Some(execution) = state.running.get(&id) {
            return Some(execution.report());
        }
        if let Some(waiting) = state.waiting.values().find(|waiting| waiting.execution.id == id) {
            return Some(waiting.execution.report());
        }
        state.ended.iter().find(|(_, report)| report.id == id).map(|(_, report)| Arc::clone(report))
    }

    /// Reports of those that ended not too long ago, in the order in which they ended.
    pub(super) fn ended(&self) -> Vec<Arc<ExecutionReport>> {
        let mut state = self.lock();
        self.drop_old_reports(&mut state);
        state.ended.iter().map(|(_, report)| Arc::clone(report)).collect()
    }

    pub(super) fn statistics(&self) -> AnalysisStatistics {
        let mut state = self.lock();
        self.drop_old_reports(&mut state);
        let Counts { submitted, refused, completed, failed, cancelled, timed_out, reports_dropped } =
            state.counts;
        AnalysisStatistics {
            submitted,
            refused,
            completed,
            failed,
            cancelled,
            timed_out,
            running: state.running.len(),
            waiting: state.waiting.len(),
            reports_kept: state.ended.len(),
            reports_dropped,
            ..AnalysisStatistics::default()
        }
    }

    /// Longest time an execution may run.
    pub(super) fn timeout(&self, asked: Option<Duration>) -> Duration {
        let most = self.config.max_workflow_timeout;
        asked.map_or(most, |asked| asked.min(most))
    }
}

/// The place of an execution among those that run. Dropping it gives the place back and files the execution, whether it
/// was run to its end, its task panicked, or its runtime is gone.
pub(super) struct Place {
    execution: Arc<Execution>,
    executions: Arc<Executions>,
    end: WorkflowState,
}

impl Place {
    pub(super) const fn execution(&self) -> &Arc<Execution> {
        &self.execution
    }

    pub(super) fn config(&self) -> &AnalysisChainConfig {
        &self.executions.config
    }

    pub(super) fn end_as(mut self, end: WorkflowState) {
        self.end = end;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.executions.conclude(&self.execution, self.end);
    }
}
