//! Receiving from the bus in tests: everything, and never for ever.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::bus::{
    BusEvent, EventBusError, EventFilter, EventSubscription, LocalEventBus, OverflowPolicy, Subscription,
};

/// How long a publisher waits for a test that does not receive: longer than a test takes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Subscribes so that nothing is lost: when more waits than fits into the queue, the bus waits for the test.
///
/// # Errors
/// Those of [`LocalEventBus::subscribe`].
pub async fn subscribe(bus: &LocalEventBus, filter: EventFilter) -> Result<Subscription, EventBusError> {
    let policy = OverflowPolicy::Block { deadline: PATIENCE };
    bus.subscribe(EventSubscription::from(filter).with_overflow(policy)).await
}

/// Receives `count` events. More may wait in the subscription afterwards.
///
/// ```
/// use collector_core::testing::{ScriptedSource, collect, subscribe};
/// use collector_core::{CollectionEvent, Collector, CollectorConfig, EventFilter, ProcessEvent};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let process = CollectionEvent::Process(ProcessEvent { pid: 7, ..Default::default() });
/// let mut collector = Collector::new(CollectorConfig::new().with_signal_handling(false));
/// collector.register(Box::new(ScriptedSource::new("script").then_send([process]).then_idle()))?;
/// let mut subscription = subscribe(&collector.bus(), EventFilter::new()).await?;
/// let handle = collector.handle();
/// let run = tokio::spawn(collector.run());
///
/// let events = collect(&mut subscription, 1, Duration::from_secs(10)).await?;
/// assert_eq!(events[0].event.pid(), Some(7));
///
/// handle.shutdown();
/// run.await?
/// # }
/// ```
///
/// # Errors
/// When they have not come by the deadline, or cannot come any more. What did come is in the error.
pub async fn collect(
    subscription: &mut Subscription,
    count: usize,
    deadline: Duration,
) -> Result<Vec<Arc<BusEvent>>, CollectError> {
    let until = Instant::now() + deadline;
    let mut received = Vec::new();
    while received.len() < count {
        let wanted = Some(count);
        match timeout_at(until, subscription.recv()).await {
            Ok(Some(event)) => received.push(event),
            Ok(None) => return Err(CollectError { received, wanted, deadline: None }),
            Err(_) => return Err(CollectError { received, wanted, deadline: Some(deadline) }),
        }
    }
    Ok(received)
}

/// Receives until the stream ends, as it does when the collector's run is over.
///
/// # Errors
/// When it has not ended by the deadline. What was received is in the error.
pub async fn collect_all(
    subscription: &mut Subscription,
    deadline: Duration,
) -> Result<Vec<Arc<BusEvent>>, CollectError> {
    let until = Instant::now() + deadline;
    let mut received = Vec::new();
    loop {
        match timeout_at(until, subscription.recv()).await {
            Ok(Some(event)) => received.push(event),
            Ok(None) => return Ok(received),
            Err(_) => return Err(CollectError { received, wanted: None, deadline: Some(deadline) }),
        }
    }
}

/// What was to be received was not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CollectError {
    /// What was.
    pub received: Vec<Arc<BusEvent>>,
    /// How many events were to come; `None`: all until the end.
    pub wanted: Option<usize>,
    /// The deadline that passed; `None`: the stream ended before.
    pub deadline: Option<Duration>,
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.received.len();
        match (self.wanted, self.deadline) {
            (Some(wanted), Some(deadline)) => {
                write!(f, "received {count} of {wanted} events within {deadline:?}")?;
            }
            (Some(wanted), None) => write!(f, "the stream ended after {count} of {wanted} events")?,
            (None, Some(deadline)) => {
                write!(f, "the stream had not ended after {deadline:?} and {count} events")?;
            }
            (None, None) => write!(f, "the stream ended after {count} events")?,
        }
        let mut kinds: Vec<_> = self.received.iter().map(|event| event.event.kind()).collect();
        kinds.dedup();
        if kinds.is_empty() { Ok(()) } else { write!(f, " ({})", kinds.join(", ")) }
    }
}

impl std::error::Error for CollectError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::EventBusConfig;
    use crate::event::{CollectionEvent, ProcessEvent};

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn what_does_not_come_is_an_error_with_what_came() {
        let bus = LocalEventBus::running(EventBusConfig::default());
        let mut subscription = subscribe(&bus, EventFilter::new()).await.unwrap();
        for _ in 0..3 {
            bus.publish(CollectionEvent::Process(ProcessEvent::default())).await.unwrap();
        }
        assert_eq!(collect(&mut subscription, 2, LONG).await.unwrap().len(), 2);
        let error = collect(&mut subscription, 2, SHORT).await.unwrap_err();
        assert_eq!(error.to_string(), "received 1 of 2 events within 20ms (process.snapshot)");
        let error = collect_all(&mut subscription, SHORT).await.unwrap_err();
        assert_eq!(error.to_string(), "the stream had not ended after 20ms and 0 events");
        bus.close();
        let error = collect(&mut subscription, 1, LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "the stream ended after 0 of 1 events");
        assert!(collect_all(&mut subscription, LONG).await.unwrap().is_empty());
    }
}
