//! The index by itself: its bounds and forged links.

use proptest::prelude::*;

use super::*;
use crate::event::{FilesystemEvent, ProcessEvent, ProcessEventKind, ProcessRef};

fn id(pid: u32) -> ExecId {
    ExecId { boot: 1, pid, start_ticks: 1, image: 1 }
}

fn fork(child: u32, parent: u32) -> BusEvent {
    BusEvent::new(
        1,
        CollectionEvent::Process(ProcessEvent {
            kind: ProcessEventKind::Fork,
            exec_id: Some(id(child)),
            parent_exec_id: Some(id(parent)),
            ..ProcessEvent::default()
        }),
    )
}

fn file(pid: u32) -> BusEvent {
    let process = ProcessRef {
        pid,
        exec_id: Some(id(pid)),
        name: "x".into(),
        executable: None,
        uid: None,
        container_id: None,
    };
    let event =
        FilesystemEvent { pid: Some(pid), process: Some(process.into()), ..FilesystemEvent::default() };
    BusEvent::new(1, CollectionEvent::Filesystem(event))
}

fn is_in(ancestry: &mut Ancestry, bit: SubtreeBit, mut event: BusEvent) -> bool {
    ancestry.observe(&mut event);
    event.subtrees.contains(bit)
}

impl Ancestry {
    /// Checks that the parts agree with each other.
    fn check(&self) {
        let Self { capacity, nodes, order, children, roots, .. } = self;
        assert!(nodes.len() <= *capacity);
        let pinned = nodes.values().filter(|node| node.roots > 0).count();
        assert_eq!(nodes.values().map(|node| node.roots).sum::<usize>(), roots.len());
        assert_eq!(order.len() + pinned, nodes.len());
        for ((rank, stamp), key) in order {
            let node = &nodes[key];
            assert_eq!((node.rank, node.stamp, node.roots), (*rank, *stamp, 0));
        }
        let links: BTreeSet<_> =
            nodes.iter().filter_map(|(key, node)| node.up.map(|up| (ProcessKey::of(up), *key))).collect();
        assert_eq!(*children, links);
    }
}

#[test]
fn links_in_a_circle_end_where_they_began() {
    let mut ancestry = Ancestry::new(10);
    let bit = ancestry.register(id(1)).unwrap();
    for mut event in [fork(2, 3), fork(3, 4), fork(4, 2), fork(5, 5), fork(6, 5)] {
        ancestry.observe(&mut event);
        ancestry.check();
    }
    assert!((2..=6).all(|pid| !is_in(&mut ancestry, bit, file(pid))));
    let mut event = file(5);
    ancestry.observe(&mut event);
    let told = (event.correlation.parent_exec_id, event.correlation.root_exec_id);
    assert_eq!(told, (None, None), "nobody is his own parent");
    // A circle with the root in it. Which of the others descend from it is nobody's to say, but it does not lose itself.
    ancestry.observe(&mut fork(1, 8));
    ancestry.observe(&mut fork(8, 9));
    ancestry.observe(&mut fork(9, 1));
    assert!(is_in(&mut ancestry, bit, file(1)));
}

#[test]
fn a_long_chain_is_followed_to_its_end() {
    let mut ancestry = Ancestry::new(20_000);
    let bit = ancestry.register(id(1)).unwrap();
    // From the bottom up, so that nothing is known before the last link closes.
    for pid in (2..=10_000).rev() {
        ancestry.observe(&mut fork(pid, pid - 1));
    }
    assert!(is_in(&mut ancestry, bit, file(10_000)));
    assert!(is_in(&mut ancestry, bit, file(5000)));
    ancestry.unregister(id(1));
    let other = ancestry.register(id(5000)).unwrap();
    assert!(is_in(&mut ancestry, other, file(10_000)));
    assert!(!is_in(&mut ancestry, other, file(4999)));
    ancestry.check();
}

#[test]
fn mere_ancestors_take_no_place_of_the_running() {
    let mut ancestry = Ancestry::new(3);
    let bit = ancestry.register(id(1)).unwrap();
    ancestry.observe(&mut fork(2, 1));
    ancestry.observe(&mut fork(3, 1));
    let mut event = fork(3, 7);
    let CollectionEvent::Process(process) = &mut event.event else { return };
    process.ancestors = [id(7), id(8), id(1)]
        .map(|id| {
            let name = "x".into();
            let exec_id = Some(id);
            ProcessRef { pid: id.pid, exec_id, name, executable: None, uid: None, container_id: None }.into()
        })
        .into();
    ancestry.observe(&mut event);
    ancestry.check();
    assert!([2, 3].into_iter().all(|pid| is_in(&mut ancestry, bit, file(pid))));
    assert_eq!(ancestry.statistics().forgotten_running, 0);
    assert_eq!(ancestry.statistics().forgotten_ancestors, 2);
}

#[derive(Clone, Debug)]
enum Step {
    Event { kind: ProcessEventKind, pid: u32, image: u32, parent: Option<u32>, ancestors: Vec<u32> },
    File(u32),
    Register(u32, u32),
    Unregister(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop::sample::select(vec![
        ProcessEventKind::Snapshot,
        ProcessEventKind::Exec,
        ProcessEventKind::Fork,
        ProcessEventKind::Exit,
    ]);
    let pid = || 1..12_u32;
    let event =
        (kind, pid(), 0..3_u32, prop::option::of(pid()), prop::collection::vec(pid(), 0..4)).prop_map(
            |(kind, pid, image, parent, ancestors)| Step::Event { kind, pid, image, parent, ancestors },
        );
    let step = prop_oneof![
        6 => event,
        3 => pid().prop_map(Step::File),
        1 => (pid(), 0..3_u32).prop_map(|(pid, image)| Step::Register(pid, image)),
        1 => (0..4_usize).prop_map(Step::Unregister),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// Whatever events claim, the index keeps to its bounds, its parts agree, and roots contain themselves.
    #[test]
    fn the_index_survives_any_events(capacity in 1..9_usize, steps in steps()) {
        let mut ancestry = Ancestry::new(capacity);
        let mut roots = Vec::new();
        for step in steps {
            match step {
                Step::Event { kind, pid, image, parent, ancestors } => {
                    let ancestors = ancestors.into_iter().map(|pid| {
                        let (name, exec_id) = ("x".into(), Some(id(pid)));
                        ProcessRef { pid, exec_id, name, executable: None, uid: None, container_id: None }.into()
                    });
                    let event = ProcessEvent {
                        kind,
                        exec_id: Some(ExecId { image, ..id(pid) }),
                        parent_exec_id: parent.map(id),
                        ancestors: ancestors.collect(),
                        ..ProcessEvent::default()
                    };
                    ancestry.observe(&mut BusEvent::new(1, CollectionEvent::Process(event)));
                }
                Step::File(pid) => ancestry.observe(&mut file(pid)),
                Step::Register(pid, image) => {
                    let root = ExecId { image, ..id(pid) };
                    if let Ok(bit) = ancestry.register(root) {
                        roots.push(root);
                        let mut event = file(pid);
                        event.correlation.exec_id = Some(root);
                        prop_assert!(is_in(&mut ancestry, bit, event));
                    }
                }
                Step::Unregister(index) => {
                    if index < roots.len() {
                        ancestry.unregister(roots.swap_remove(index));
                    }
                }
            }
            ancestry.check();
        }
    }
}
