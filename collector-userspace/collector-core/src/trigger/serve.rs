//! Triggers at work: everything on a bus is looked at, and handlers do what is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::capabilities::TriggerResourceLimits;
use super::manager::TriggerManager;
use super::task::{Outcome, TriggerTask};
use crate::bus::{EventBusError, EventSubscription, LocalEventBus, Subscription};
use crate::event::{CollectionEvent, TriggerRequest};
use crate::panics::message_of;

/// Does the analyses of one collector.
#[async_trait]
pub trait TriggerHandler: Send + Sync {
    /// The collector, as its capabilities and conditions name it.
    fn collector_id(&self) -> &str;

    /// Does what is asked for. It runs on a task of its own: a panic ends this analysis and nothing else, and when the
    /// time in `limits` is over the future is dropped.
    ///
    /// # Errors
    /// Why the analysis has no result; it is counted and logged.
    async fn handle(
        &self,
        request: TriggerRequest,
        limits: TriggerResourceLimits,
    ) -> Result<(), TriggerHandlerError>;
}

/// Why an analysis has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TriggerHandlerError {
    /// What went wrong, on what.
    pub message: String,
}

impl TriggerHandlerError {
    /// An error with this message.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl TriggerManager {
    /// Looks at every event on the bus until that closes, publishes the requests there as
    /// [`CollectionEvent::TriggerRequest`], and runs the handlers, as many at once as their collectors say. Requests
    /// themselves and alerts are not looked at: what a trigger leads to must not lead to triggers. Returns when the bus is
    /// closed and the analyses that ran then are done; then the manager is [closed](Self::close), unless it serves another
    /// bus. It can serve again.
    ///
    /// `subscription` says under which id, with which queue and which filter; events that its queue drops are not looked at,
    /// which its statistics show.
    ///
    /// # Errors
    /// When the bus refuses the subscription.
    pub async fn serve(
        &self,
        bus: &LocalEventBus,
        subscription: EventSubscription,
        handlers: impl IntoIterator<Item = Arc<dyn TriggerHandler>>,
    ) -> Result<(), EventBusError> {
        let filter = subscription
            .filter
            .clone()
            .without_event_type(CollectionEvent::TriggerRequest)
            .without_event_type(CollectionEvent::Alert);
        let events = bus.subscribe(subscription.with_filter(filter)).await?;
        self.serve_events(bus, events, handlers).await;
        Ok(())
    }

    /// As [`serve`](Self::serve), with the events of a subscription that is there already. If its policy is
    /// [`OverflowPolicy::Block`](crate::OverflowPolicy), it has to
    /// [leave out](crate::EventFilter::without_event_type) trigger requests, as this would wait for place for them in its own
    /// queue otherwise.
    pub async fn serve_events(
        &self,
        bus: &LocalEventBus,
        mut events: Subscription,
        handlers: impl IntoIterator<Item = Arc<dyn TriggerHandler>>,
    ) {
        const BATCH: usize = 256;
        let serving = self.begin_to_serve();
        let over = CancellationToken::new();
        let handlers: HashMap<String, Arc<dyn TriggerHandler>> =
            handlers.into_iter().map(|handler| (handler.collector_id().to_owned(), handler)).collect();
        let evaluate = async {
            let mut batch = Vec::with_capacity(BATCH);
            while events.recv_many(&mut batch, BATCH).await > 0 {
                let mut requests = Vec::new();
                for event in batch.drain(..) {
                    if !matches!(event.event, CollectionEvent::TriggerRequest(_) | CollectionEvent::Alert(_))
                    {
                        requests.extend(self.evaluate(&event.event));
                    }
                }
                if !requests.is_empty() {
                    let requests = requests.into_iter().map(CollectionEvent::TriggerRequest);
                    // A bus that has closed meanwhile has nobody left to tell.
                    let _ = bus.publish_batch(requests).await;
                }
            }
            over.cancel();
            serving.end();
        };
        tokio::join!(evaluate, self.handle(&handlers, &over));
    }

    /// Runs handlers until `over`, and then those that are ready to be run.
    async fn handle(&self, handlers: &HashMap<String, Arc<dyn TriggerHandler>>, over: &CancellationToken) {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                // Before the end, so that what is ready is not left behind.
                biased;
                Some(ended) = running.join_next() => report(ended),
                task = self.next(|collector| handlers.contains_key(collector)) => match task {
                    Some(task) => {
                        if let Some(handler) = handlers.get(&task.request().target_collector) {
                            running.spawn(analyse(Arc::clone(handler), task));
                        }
                    }
                    None => break,
                },
                () = over.cancelled() => break,
            }
        }
        while let Some(ended) = running.join_next().await {
            report(ended);
        }
    }
}

async fn analyse(handler: Arc<dyn TriggerHandler>, task: TriggerTask) {
    let request = task.request().clone();
    let id = request.trigger_id.clone();
    match tokio::time::timeout(task.time(), handler.handle(request, task.limits())).await {
        Ok(Ok(())) => task.end(Outcome::Succeeded),
        Ok(Err(error)) => {
            tracing::warn!(trigger = id, %error, "an analysis failed");
            task.end(Outcome::Failed);
        }
        Err(_) => {
            tracing::warn!(trigger = id, "an analysis took too long and is abandoned");
            task.end(Outcome::TimedOut);
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        // Its task was dropped while it unwound, which has counted it. Nobody aborts it, so it was a panic.
        let error = error.try_into_panic().map_or_else(|error| error.to_string(), message_of);
        tracing::error!(error, "a trigger handler panicked");
    }
}
