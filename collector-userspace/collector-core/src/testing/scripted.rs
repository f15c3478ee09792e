//! A source that follows a script.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use tokio::sync::mpsc::Sender;

use super::control::ScriptControl;
use crate::event::CollectionEvent;
use crate::source::{EventSource, SourceCaps};

type Running = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;
type Flag = Arc<AtomicBool>;

/// One thing a script does.
enum Step {
    Send(Vec<CollectionEvent>),
    Idle,
    Fail(String),
    Panic(String),
    Hang,
    Block,
    Act(Box<dyn Fn(Sender<CollectionEvent>, Flag) -> Running + Send + Sync>),
}

/// A source that does, each time it is started, one step after another, and then ends. Without a step it ends at once.
///
/// ```
/// use collector_core::testing::ScriptedSource;
/// use collector_core::{CollectionEvent, NetworkEvent, SourceCaps};
///
/// let event = CollectionEvent::Network(NetworkEvent::default());
/// let source = ScriptedSource::new("unsteady")
///     .with_capabilities(SourceCaps::NETWORK)
///     .then_send([event.clone(), event])
///     .then_fail("the cable is out");
/// let control = source.control();
/// # let _ = (source, control);
/// ```
pub struct ScriptedSource {
    name: &'static str,
    capabilities: SourceCaps,
    steps: Vec<Step>,
    on_stop: Step,
    control: ScriptControl,
}

impl ScriptedSource {
    /// A source without steps, which claims to see processes.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let (steps, on_stop) = (Vec::new(), Step::Send(Vec::new()));
        Self { name, capabilities: SourceCaps::PROCESS, steps, on_stop, control: ScriptControl::new() }
    }

    /// Sets what it claims to see.
    #[must_use]
    pub const fn with_capabilities(mut self, capabilities: SourceCaps) -> Self {
        self.capabilities = capabilities;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Then sends these events, however long that takes; the shutdown signal does not shorten it. The script ends when the
    /// receiver is gone.
    #[must_use]
    pub fn then_send(self, events: impl IntoIterator<Item = CollectionEvent>) -> Self {
        self.step(Step::Send(events.into_iter().collect()))
    }

    /// Then waits for the shutdown signal or [`ScriptControl::go_on`].
    #[must_use]
    pub fn then_idle(self) -> Self {
        self.step(Step::Idle)
    }

    /// Then fails.
    #[must_use]
    pub fn then_fail(self, message: impl Into<String>) -> Self {
        self.step(Step::Fail(message.into()))
    }

    /// Then panics.
    #[must_use]
    pub fn then_panic(self, message: impl Into<String>) -> Self {
        self.step(Step::Panic(message.into()))
    }

    /// Then awaits something that never comes, and does not look at the shutdown signal.
    #[must_use]
    pub fn then_hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// Then blocks its thread for ever.
    #[must_use]
    pub fn then_block(self) -> Self {
        self.step(Step::Block)
    }

    /// Then does something else. The closure gets what `start` got, and is called once for each start.
    #[must_use]
    pub fn then<R>(
        self,
        act: impl Fn(Sender<CollectionEvent>, Arc<AtomicBool>) -> R + Send + Sync + 'static,
    ) -> Self
    where
        R: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.step(Step::Act(Box::new(move |tx, flag| Box::pin(act(tx, flag)))))
    }

    /// Makes `stop` fail.
    #[must_use]
    pub fn whose_stop_fails(mut self, message: impl Into<String>) -> Self {
        self.on_stop = Step::Fail(message.into());
        self
    }

    /// Makes `stop` panic.
    #[must_use]
    pub fn whose_stop_panics(mut self, message: impl Into<String>) -> Self {
        self.on_stop = Step::Panic(message.into());
        self
    }

    /// Makes `stop` block its thread for ever.
    #[must_use]
    pub fn whose_stop_blocks(mut self) -> Self {
        self.on_stop = Step::Block;
        self
    }

    /// What can be seen and done from outside while a collector has the source.
    #[must_use]
    pub fn control(&self) -> ScriptControl {
        self.control.clone()
    }

    /// False when the script ends here.
    async fn perform(
        &self,
        step: &Step,
        tx: &Sender<CollectionEvent>,
        shutdown: &Flag,
    ) -> anyhow::Result<bool> {
        match step {
            Step::Send(events) => {
                for event in events {
                    if tx.send(event.clone()).await.is_err() {
                        return Ok(false);
                    }
                }
            }
            Step::Idle => self.control.idle(shutdown).await,
            Step::Act(act) => act(tx.clone(), Arc::clone(shutdown)).await?,
            Step::Fail(_) | Step::Panic(_) | Step::Hang | Step::Block => go_wrong(step).await?,
        }
        Ok(true)
    }
}

/// What does not need the channel.
async fn go_wrong(step: &Step) -> anyhow::Result<()> {
    match step {
        Step::Fail(message) => anyhow::bail!("{message}"),
        #[allow(clippy::panic, reason = "that is what it was asked for")]
        Step::Panic(message) => panic!("{message}"),
        Step::Hang => std::future::pending().await,
        Step::Block => loop {
            std::thread::park();
        },
        Step::Send(_) | Step::Idle | Step::Act(_) => Ok(()),
    }
}

#[async_trait]
impl EventSource for ScriptedSource {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> SourceCaps {
        self.capabilities
    }

    async fn start(&self, tx: Sender<CollectionEvent>, shutdown_signal: Flag) -> anyhow::Result<()> {
        self.control.note_start();
        for step in &self.steps {
            if !self.perform(step, &tx, &shutdown_signal).await? {
                break;
            }
        }
        Ok(())
    }

    async fn stop(&self) -> anyhow::Result<()> {
        self.control.note_stop();
        go_wrong(&self.on_stop).await
    }

    fn is_started(&self) -> bool {
        self.control.is_started()
    }

    async fn health_check(&self) -> anyhow::Result<()> {
        self.control.health()
    }
}

impl fmt::Debug for ScriptedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedSource")
            .field("name", &self.name)
            .field("capabilities", &self.capabilities)
            .field("steps", &self.steps.len())
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::event::ProcessEvent;
    use crate::testing::conformance;

    fn events(count: usize) -> Vec<CollectionEvent> {
        let timestamp = std::time::SystemTime::now();
        vec![CollectionEvent::Process(ProcessEvent { timestamp, ..ProcessEvent::default() }); count]
    }

    #[tokio::test]
    async fn the_steps_come_one_after_another() {
        let source = ScriptedSource::new("script").then_send(events(2)).then_idle().then_fail("done");
        let control = source.control();
        let (tx, mut rx) = mpsc::channel(10);
        control.go_on();
        let error = source.start(tx, Flag::default()).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), rx.len(), control.starts()), ("done", 2, 1));
        // Each start begins from the front; idling ends with the signal too.
        let (tx, _rx) = mpsc::channel(10);
        source.start(tx, Arc::new(AtomicBool::new(true))).await.unwrap_err();
        assert_eq!(control.starts(), 2);
        rx.close();
    }

    #[tokio::test]
    async fn a_script_without_a_receiver_ends() {
        let source = ScriptedSource::new("script").then_send(events(1)).then_hang();
        let (tx, rx) = mpsc::channel(1);
        drop(rx);
        source.start(tx, Flag::default()).await.unwrap();
    }

    #[tokio::test]
    async fn a_peaceful_script_is_conformant() {
        let make = || ScriptedSource::new("script").then_send(events(3)).then_idle();
        let options = conformance::Options::new()
            .skip(conformance::Check::ReceiverGone, "an idle script does not notice that nobody receives");
        conformance::check_with(options, make).await.assert_conformant();
    }
}
