//! The bus against a model: random histories of processes, random filters, and a naive idea of who should get what.

mod history;
mod wanted;

use proptest::prelude::*;
use proptest::sample::Index;

use self::history::{Facts, History, Published, Step, steps, tags};
use self::wanted::{Wanted, wanted};
use super::*;

async fn compare(
    before: Vec<(Step, Index, Facts)>,
    wanted: Vec<Wanted>,
    after: Vec<(Step, Index, Facts)>,
) -> Result<(), TestCaseError> {
    let config = EventBusConfig::default().with_ancestry(AncestryMode::Always);
    let bus = LocalEventBus::new(config).await.unwrap();
    bus.start().await.unwrap();
    let mut history = History::new();
    // The first process is known, as it is from a snapshot.
    let first = CollectionEvent::Process(ProcessEvent {
        pid: 1,
        exec_id: history.images().pop(),
        ..ProcessEvent::default()
    });
    bus.publish(first).await.unwrap();
    let mut next_id = 2;
    for (step, index, facts) in before {
        let Published { event, facts, .. } = history.step(&step, index, facts);
        bus.publish_with(event, tags(&facts)).await.unwrap();
        next_id += 1;
    }
    let images = history.images();
    let mut subscriptions = Vec::new();
    for wanted in &wanted {
        subscriptions.push(match bus.subscribe(wanted.filter(&images)).await {
            Ok(subscription) => Some(subscription),
            Err(EventBusError::SelectsNothing { .. }) => None,
            Err(error) => panic!("{error}"),
        });
    }
    let mut expected: Vec<Vec<u64>> = vec![Vec::new(); wanted.len()];
    for (step, index, facts) in after {
        let published = history.step(&step, index, facts);
        for (ids, wanted) in expected.iter_mut().zip(&wanted) {
            if wanted.selects(&images, next_id, &published) {
                ids.push(next_id);
            }
        }
        let Published { event, facts, .. } = published;
        bus.publish_with(event, tags(&facts)).await.unwrap();
        next_id += 1;
    }
    for ((subscription, expected), wanted) in subscriptions.into_iter().zip(expected).zip(wanted) {
        let mut received = Vec::new();
        if let Some(mut subscription) = subscription {
            received.extend(std::iter::from_fn(|| subscription.try_recv().ok()).map(|event| event.id));
        }
        prop_assert_eq!(received, expected, "{:?}", wanted);
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_bus_delivers_to_exactly_the_subscribers_whose_filter_selects(
        before in steps(),
        wanted in prop::collection::vec(wanted(), 1..8),
        after in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(before, wanted, after))?;
    }
}
