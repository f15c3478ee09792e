//! A manager that serves more than one bus, and code of others that panics with claws.

use super::*;
use crate::panics::tests::Nasty;

/// Counts; panics for the name of a file that says so.
struct Counter(Arc<AtomicUsize>);

#[async_trait]
impl TriggerHandler for Counter {
    fn collector_id(&self) -> &str {
        "hasher"
    }

    async fn handle(
        &self,
        request: TriggerRequest,
        _: TriggerResourceLimits,
    ) -> Result<(), TriggerHandlerError> {
        if request.target_path.as_deref() == Some("/nasty") {
            std::panic::panic_any(Nasty);
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A bus served by a manager, until it is shut down.
async fn served(
    manager: &TriggerManager,
    count: &Arc<AtomicUsize>,
) -> (LocalEventBus, tokio::task::JoinHandle<()>) {
    let bus = LocalEventBus::new(EventBusConfig::default()).await.unwrap();
    bus.start().await.unwrap();
    let (handler, manager, own) = (Counter(Arc::clone(count)), manager.clone(), bus.clone());
    let serving = tokio::spawn(async move {
        let handler: Arc<dyn TriggerHandler> = Arc::new(handler);
        manager.serve(&own, EventSubscription::new("triggers"), [handler]).await.unwrap();
    });
    while bus.statistics().active_subscribers == 0 {
        tokio::task::yield_now().await;
    }
    (bus, serving)
}

async fn publish(bus: &LocalEventBus, pid: u32, path: &str) {
    bus.publish(CollectionEvent::Process(exec(pid, "x", path))).await.unwrap();
}

/// Waits until so many requests have been answered, well or not.
async fn answered(manager: &TriggerManager, count: u64) {
    let enough = async {
        loop {
            let totals = manager.statistics().totals();
            if totals.succeeded + totals.failed >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), enough).await.expect("in time");
}

async fn end((bus, serving): (LocalEventBus, tokio::task::JoinHandle<()>)) {
    bus.shutdown().await;
    tokio::time::timeout(Duration::from_secs(10), serving).await.expect("in time").unwrap();
}

fn manager_of_all() -> TriggerManager {
    let manager = manager();
    manager.register_condition(condition("c", ConditionType::ProcessNamePattern("x".to_owned()))).unwrap();
    manager
}

#[tokio::test]
async fn a_manager_can_serve_again_and_is_closed_in_between() {
    let (manager, count) = (manager_of_all(), Arc::default());
    for round in 1..4_u32 {
        let serving = served(&manager, &count).await;
        for step in 0..5 {
            publish(&serving.0, round * 10 + step, "/x").await;
            answered(&manager, u64::from((round - 1) * 5 + step + 1)).await;
        }
        end(serving).await;
        assert!(manager.next(|_| true).await.is_none());
    }
    assert_eq!(count.load(Ordering::SeqCst), 15);
}

#[tokio::test]
async fn of_two_buses_that_are_served_the_end_of_one_is_not_that_of_the_other() {
    let (manager, count) = (manager_of_all(), Arc::default());
    let (one, other) = (served(&manager, &count).await, served(&manager, &count).await);
    end(one).await;
    publish(&other.0, 1, "/x").await;
    answered(&manager, 1).await;
    end(other).await;
    assert!(manager.next(|_| true).await.is_none());
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_panic_whose_payload_panics_harms_no_other_request() {
    let (manager, count) = (manager_of_all(), Arc::default());
    let serving = served(&manager, &count).await;
    publish(&serving.0, 1, "/nasty").await;
    answered(&manager, 1).await;
    publish(&serving.0, 2, "/x").await;
    answered(&manager, 2).await;
    end(serving).await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_predicate_whose_payload_panics_is_not_met() {
    let manager = manager();
    manager.register_predicate("nasty", |_| std::panic::panic_any(Nasty));
    manager.register_condition(condition("nasty", ConditionType::Custom("nasty".to_owned()))).unwrap();
    assert!(manager.evaluate(&CollectionEvent::Process(exec(1, "x", "/x"))).is_empty());
}
