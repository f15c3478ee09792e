//! The kinds of events as small numbers, so that hot paths compare bits instead of names.

use super::{CollectionEvent, FilesystemEventKind, NetworkEventKind, ProcessEventKind};

/// Every kind ([`CollectionEvent::kind`]) with its domain ([`CollectionEvent::event_type`]).
///
/// ```
/// assert!(collector_core::event::KINDS.contains(&("process.exec", "process")));
/// ```
pub const KINDS: &[(&str, &str)] = &[
    ("process.snapshot", "process"),
    ("process.exec", "process"),
    ("process.fork", "process"),
    ("process.exit", "process"),
    ("network.connect", "network"),
    ("network.accept", "network"),
    ("network.listen", "network"),
    ("network.close", "network"),
    ("network.send", "network"),
    ("file.create", "filesystem"),
    ("file.open", "filesystem"),
    ("file.modify", "filesystem"),
    ("file.delete", "filesystem"),
    ("file.rename", "filesystem"),
    ("file.link", "filesystem"),
    ("file.attributes", "filesystem"),
    ("performance.sample", "performance"),
    ("trigger.request", "trigger_request"),
    ("loss", "loss"),
];

/// A kind as an index into [`KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindIndex(u8);

impl KindIndex {
    pub(crate) const fn of(event: &CollectionEvent) -> Self {
        Self(match event {
            CollectionEvent::Process(event) => match event.kind {
                ProcessEventKind::Snapshot => 0,
                ProcessEventKind::Exec => 1,
                ProcessEventKind::Fork => 2,
                ProcessEventKind::Exit => 3,
            },
            CollectionEvent::Network(event) => match event.kind {
                NetworkEventKind::Connect => 4,
                NetworkEventKind::Accept => 5,
                NetworkEventKind::Listen => 6,
                NetworkEventKind::Close => 7,
                NetworkEventKind::Send => 8,
            },
            CollectionEvent::Filesystem(event) => match event.kind {
                FilesystemEventKind::Create => 9,
                FilesystemEventKind::Open => 10,
                FilesystemEventKind::Modify => 11,
                FilesystemEventKind::Delete => 12,
                FilesystemEventKind::Rename => 13,
                FilesystemEventKind::Link => 14,
                FilesystemEventKind::Attributes => 15,
            },
            CollectionEvent::Performance(_) => 16,
            CollectionEvent::TriggerRequest(_) => 17,
            CollectionEvent::Loss(_) => 18,
        })
    }

    /// Every kind, in the order of [`KINDS`].
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..KINDS.len() as u8).map(Self)
    }

    /// Its place in [`KINDS`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The name of the kind.
    pub(crate) fn name(self) -> &'static str {
        KINDS.get(usize::from(self.0)).map_or("", |(kind, _)| kind)
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindSet(u64);

impl KindSet {
    pub(crate) const ALL: Self = Self(u64::MAX);
    pub(crate) const NONE: Self = Self(0);

    /// The kinds called `name`, which is a kind or a domain; `file` is another word for `filesystem`. `None` if there is
    /// no such name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = if name == "file" { "filesystem" } else { name };
        let mut set = 0;
        for (index, (kind, domain)) in KINDS.iter().enumerate() {
            if *kind == name || *domain == name {
                set |= 1 << index;
            }
        }
        (set != 0).then_some(Self(set))
    }

    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn complement(self) -> Self {
        Self(!self.0)
    }

    pub(crate) const fn with(self, kind: KindIndex) -> Self {
        Self(self.0 | 1 << kind.0)
    }

    pub(crate) const fn contains(self, kind: KindIndex) -> bool {
        self.0 & (1 << kind.0) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{FilesystemEvent, NetworkEvent, PerformanceEvent, ProcessEvent};

    #[test]
    fn the_table_agrees_with_the_events() {
        use FilesystemEventKind::{Attributes, Create, Delete, Link, Modify, Open, Rename};
        use NetworkEventKind::{Accept, Close, Connect, Listen, Send};
        use ProcessEventKind::{Exec, Exit, Fork, Snapshot};
        let process = [Snapshot, Exec, Fork, Exit]
            .map(|kind| CollectionEvent::Process(ProcessEvent { kind, ..ProcessEvent::default() }));
        let network = [Connect, Accept, Listen, Close, Send]
            .map(|kind| CollectionEvent::Network(NetworkEvent { kind, ..NetworkEvent::default() }));
        let file = [Create, Open, Modify, Delete, Rename, Link, Attributes]
            .map(|kind| CollectionEvent::Filesystem(FilesystemEvent { kind, ..FilesystemEvent::default() }));
        let sample = CollectionEvent::Performance(PerformanceEvent::default());
        for event in process.into_iter().chain(network).chain(file).chain([sample]) {
            let (kind, domain) = KINDS[usize::from(KindIndex::of(&event).0)];
            assert_eq!((kind, domain), (event.kind(), event.event_type()));
        }
    }

    #[test]
    fn names_select_kinds_and_domains() {
        let exec = KindIndex(1);
        let open = KindIndex(10);
        assert!(KindSet::named("process").unwrap().contains(exec));
        assert!(KindSet::named("process.exec").unwrap().contains(exec));
        assert!(!KindSet::named("process.exit").unwrap().contains(exec));
        assert!(KindSet::named("file").unwrap().contains(open));
        assert!(KindSet::ALL.contains(open) && !KindSet::NONE.contains(open));
        assert_eq!(KindSet::named("proces"), None);
    }
}
