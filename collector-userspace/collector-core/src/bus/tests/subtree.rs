//! Subtree filters: who belongs to the subtree of an image, as subscribers see it.

use std::sync::Arc;

use super::*;
use crate::event::{FilesystemEvent, ProcessRef};

/// An image of a process that started at tick `pid`.
fn image(pid: u32, image: u32) -> ExecId {
    ExecId { boot: 1, pid, start_ticks: u64::from(pid), image }
}

fn about(kind: ProcessEventKind, id: ExecId, parent: Option<ExecId>) -> CollectionEvent {
    CollectionEvent::Process(ProcessEvent {
        pid: id.pid,
        kind,
        exec_id: Some(id),
        parent_exec_id: parent,
        ..ProcessEvent::default()
    })
}

fn fork(child: ExecId, parent: ExecId) -> CollectionEvent {
    about(ProcessEventKind::Fork, child, Some(parent))
}

fn exec(id: ExecId, parent: ExecId) -> CollectionEvent {
    about(ProcessEventKind::Exec, id, Some(parent))
}

fn exit(id: ExecId) -> CollectionEvent {
    about(ProcessEventKind::Exit, id, None)
}

fn reference(id: ExecId) -> Arc<ProcessRef> {
    Arc::new(ProcessRef {
        pid: id.pid,
        exec_id: Some(id),
        name: "x".into(),
        executable: None,
        uid: None,
        container_id: None,
    })
}

fn file(id: ExecId) -> CollectionEvent {
    CollectionEvent::Filesystem(FilesystemEvent {
        pid: Some(id.pid),
        process: Some(reference(id)),
        ..FilesystemEvent::default()
    })
}

fn connect(id: ExecId) -> CollectionEvent {
    CollectionEvent::Network(NetworkEvent {
        pid: Some(id.pid),
        process: Some(reference(id)),
        ..NetworkEvent::default()
    })
}

fn with_ancestors(event: CollectionEvent, ancestors: &[ExecId]) -> CollectionEvent {
    let CollectionEvent::Process(event) = event else { return event };
    let ancestors = ancestors.iter().map(|id| reference(*id)).collect();
    CollectionEvent::Process(ProcessEvent { ancestors, ..event })
}

async fn subtree(bus: &LocalEventBus, root: ExecId) -> Subscription {
    let filter = EventFilter::new().with_correlation_filter(CorrelationFilter::by_subtree(root));
    bus.subscribe(filter).await.unwrap()
}

async fn bus_with(config: EventBusConfig) -> LocalEventBus {
    let bus = LocalEventBus::new(config).await.unwrap();
    bus.start().await.unwrap();
    bus
}

/// Publishes the events one by one and says which places of the list arrived.
async fn arrived(
    bus: &LocalEventBus,
    subscription: &mut Subscription,
    events: &[CollectionEvent],
) -> Vec<usize> {
    let mut places = Vec::new();
    for (place, event) in events.iter().enumerate() {
        bus.publish(event.clone()).await.unwrap();
        while subscription.try_recv().is_ok() {
            places.push(place);
        }
    }
    places
}

const INIT: ExecId = ExecId { boot: 1, pid: 1, start_ticks: 1, image: 1 };

#[tokio::test]
async fn a_subtree_is_the_image_its_later_images_and_all_their_descendants() {
    let bus = running_bus().await;
    let root = image(10, 2);
    let mut subscription = subtree(&bus, root).await;
    let events = [
        fork(image(10, 1), INIT),
        fork(image(20, 1), image(10, 1)), // created by the image before the root: not of the subtree
        exec(root, INIT),
        file(root),
        fork(image(30, 2), root),
        exec(image(30, 3), root),
        connect(image(30, 3)),
        fork(image(40, 3), image(30, 3)),
        file(image(40, 3)),
        exec(image(10, 4), INIT), // the root's process goes on as another image
        connect(image(10, 4)),
        fork(image(50, 4), image(10, 4)),
        file(image(20, 1)),
        connect(INIT),
        file(image(50, 4)),
    ];
    // The root was subscribed to before the bus saw it, so it passes for the oldest image of its process: the images that
    // came "before" are taken in too, which is documented.
    let expected = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14];
    assert_eq!(arrived(&bus, &mut subscription, &events).await, expected);

    // With an index that was there from the beginning the order of images is known.
    let bus = bus_with(EventBusConfig::default().with_ancestry(AncestryMode::Always)).await;
    bus.publish_batch(events[..3].to_vec()).await.unwrap();
    let mut subscription = subtree(&bus, root).await;
    let expected = [3, 4, 5, 6, 7, 8, 9, 10, 11, 14].map(|place| place - 3);
    assert_eq!(arrived(&bus, &mut subscription, &events[3..]).await, expected);
}

#[tokio::test]
async fn a_process_of_the_same_pid_is_another_process() {
    let bus = running_bus().await;
    let root = image(10, 1);
    let mut subscription = subtree(&bus, root).await;
    let later = ExecId { start_ticks: 999, ..root };
    let events = [file(root), exit(root), fork(later, INIT), file(later), exit(later)];
    assert_eq!(arrived(&bus, &mut subscription, &events).await, [0, 1]);
}

#[tokio::test]
async fn a_child_whose_event_comes_before_its_parents_joins_when_that_comes() {
    let bus = running_bus().await;
    let root = image(10, 1);
    let mut subscription = subtree(&bus, root).await;
    let (parent, child) = (image(20, 1), image(30, 1));
    let events = [
        fork(child, parent),
        file(child), // nobody can know yet
        fork(parent, root),
        file(child),
        connect(parent),
    ];
    assert_eq!(arrived(&bus, &mut subscription, &events).await, [2, 3, 4]);
}

#[tokio::test]
async fn an_event_that_names_its_ancestors_brings_them_in() {
    let bus = running_bus().await;
    let (root, shell, child) = (image(10, 1), image(20, 1), image(30, 1));
    let mut subscription = subtree(&bus, root).await;
    let events = [
        file(shell), // has been running for long; its fork was never seen
        with_ancestors(fork(child, shell), &[shell, root, INIT]),
        file(shell),
        file(child),
        file(INIT),
    ];
    assert_eq!(arrived(&bus, &mut subscription, &events).await, [1, 2, 3]);
    assert_eq!(bus.statistics().ancestry.unknown_processes, 1);
}

#[tokio::test]
async fn late_events_of_an_ended_process_belong_to_its_subtree() {
    let bus = running_bus().await;
    let root = image(10, 1);
    let mut subscription = subtree(&bus, root).await;
    let (parent, child) = (image(20, 1), image(30, 1));
    let events = [
        fork(parent, root),
        fork(child, parent),
        exit(parent),
        file(parent),
        connect(child),
        exit(child),
        file(child),
        exit(root),
        connect(root),
        file(child),
    ];
    assert_eq!(arrived(&bus, &mut subscription, &events).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn forgetting_cuts_no_descendant_off() {
    let bus = bus_with(EventBusConfig::default().with_ancestry_capacity(4)).await;
    let root = image(10, 1);
    let mut subscription = subtree(&bus, root).await;
    // Each forks the next and ends: a hundred times more than there is place for.
    let mut last = root;
    for pid in 11..411 {
        let child = image(pid, 1);
        assert_eq!(arrived(&bus, &mut subscription, &[fork(child, last)]).await, [0], "{pid}");
        if last != root {
            arrived(&bus, &mut subscription, &[exit(last)]).await;
        }
        last = child;
    }
    assert_eq!(arrived(&bus, &mut subscription, &[file(last), connect(root)]).await, [0, 1]);
    // Not only because it was remembered: a new subtree has everything worked out again.
    let _other = subtree(&bus, INIT).await;
    assert_eq!(arrived(&bus, &mut subscription, &[file(last), connect(root)]).await, [0, 1]);
    let ancestry = bus.statistics().ancestry;
    assert_eq!((ancestry.subtrees, ancestry.processes, ancestry.capacity), (2, 4, 4));
    assert_eq!((ancestry.forgotten_ended, ancestry.forgotten_running), (398, 0));
}

#[tokio::test]
async fn what_is_forgotten_is_missed_until_its_next_process_event_and_counted() {
    let bus = bus_with(EventBusConfig::default().with_ancestry_capacity(3)).await;
    let root = image(10, 1);
    let mut subscription = subtree(&bus, root).await;
    let events = [
        fork(image(20, 1), root),
        fork(image(30, 1), root),
        fork(image(40, 1), root), // the oldest goes, though it is running
        file(image(20, 1)),
        exec(image(20, 2), root),
        file(image(20, 2)),
        file(image(30, 1)),
    ];
    assert_eq!(arrived(&bus, &mut subscription, &events).await, [0, 1, 2, 4, 5]);
    let ancestry = bus.statistics().ancestry;
    assert_eq!((ancestry.forgotten_running, ancestry.unknown_processes), (2, 2));
}

#[tokio::test]
async fn the_index_is_kept_only_while_somebody_asks_for_a_subtree() {
    let bus = running_bus().await;
    bus.publish(fork(image(20, 1), INIT)).await.unwrap();
    assert_eq!(bus.statistics().ancestry.processes, 0);
    let first = subtree(&bus, INIT).await;
    let second = subtree(&bus, INIT).await;
    bus.publish(fork(image(30, 1), INIT)).await.unwrap();
    let ancestry = bus.statistics().ancestry;
    assert_eq!((ancestry.subtrees, ancestry.processes), (1, 2));
    drop(first);
    assert_eq!(bus.statistics().ancestry.processes, 2, "the other one still asks");
    bus.unsubscribe(second.id()).await.unwrap();
    let ancestry = bus.statistics().ancestry;
    assert_eq!((ancestry.subtrees, ancestry.processes), (0, 0));
}

#[tokio::test]
async fn a_subtree_gets_nothing_of_one_whose_place_it_took() {
    let bus = running_bus().await;
    let (a, b) = (image(10, 1), image(20, 1));
    let keep = subtree(&bus, INIT).await;
    let first = subtree(&bus, a).await;
    bus.publish(fork(image(11, 1), a)).await.unwrap();
    drop(first);
    let mut second = subtree(&bus, b).await;
    let events = [file(image(11, 1)), file(a), file(b)];
    assert_eq!(arrived(&bus, &mut second, &events).await, [2]);
    drop(keep);
}

#[tokio::test]
async fn more_subtrees_than_bits_are_refused() {
    let bus = running_bus().await;
    let mut subscriptions = Vec::new();
    for pid in 1..=64 {
        subscriptions.push(subtree(&bus, image(pid, 1)).await);
    }
    let filter =
        |pid| EventFilter::new().with_correlation_filter(CorrelationFilter::by_subtree(image(pid, 1)));
    let refused = bus.subscribe(filter(65)).await.unwrap_err();
    assert_eq!(refused, EventBusError::TooManySubtrees { limit: 64 });
    subscriptions.remove(10);
    let mut subscription = bus.subscribe(filter(65)).await.unwrap();
    bus.publish(file(image(65, 1))).await.unwrap();
    bus.publish(file(image(11, 1))).await.unwrap();
    assert_eq!(drain(&mut subscription), [65]);
    for (subscription, pid) in subscriptions.iter_mut().zip((1..=64).filter(|pid| *pid != 11)) {
        bus.publish(file(image(pid, 1))).await.unwrap();
        assert_eq!(drain(subscription), [pid]);
    }
}

#[tokio::test]
async fn network_and_file_events_are_given_their_ancestry_while_it_is_known() {
    let bus = running_bus().await;
    let mut all = bus.subscribe(EventFilter::new()).await.unwrap();
    let (shell, child) = (image(10, 1), image(20, 1));
    let known = with_ancestors(fork(child, shell), &[shell, INIT]);
    bus.publish_batch(vec![known.clone(), file(child)]).await.unwrap();
    let own = Arc::clone(&all.recv().await.unwrap()).correlation.clone();
    assert_eq!((own.parent_exec_id, own.parent_pid), (Some(shell), Some(10)));
    assert_eq!((own.root_exec_id, own.root_pid), (Some(INIT), Some(1)));
    assert_eq!(all.recv().await.unwrap().correlation.parent_exec_id, None);

    let _asks = subtree(&bus, shell).await;
    bus.publish_batch(vec![known, connect(child)]).await.unwrap();
    all.recv().await.unwrap();
    let told = all.recv().await.unwrap().correlation.clone();
    assert_eq!((told.parent_exec_id, told.parent_pid), (Some(shell), Some(10)));
    assert_eq!((told.root_exec_id, told.root_pid), (Some(INIT), Some(1)));
}
