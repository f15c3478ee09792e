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
    ("alert", "alert"),
];

/// The topic of each kind, in the order of [`KINDS`]: the names by which subscribers select with wildcards (see
/// [`EventFilter::with_topic`](crate::EventFilter::with_topic)). Levels are divided by `/`.
///
/// * `events/…`: what was observed. The second level is the domain as kinds spell it, the third what happened; `events/loss`
///   and `events/alert` have no third, because losses and alerts belong to every domain.
/// * `control/…`: what one part of the system asks of another; `control/trigger/request` so far. The rest is reserved.
///
/// ```
/// use collector_core::event::{KINDS, TOPICS};
///
/// let exec = KINDS.iter().position(|(kind, _)| *kind == "process.exec").map(|index| TOPICS[index]);
/// assert_eq!(exec, Some("events/process/exec"));
/// ```
// As long as the table of kinds, or this does not compile: a new kind must get a topic.
pub const TOPICS: &[&str; KINDS.len()] = &[
    "events/process/snapshot",
    "events/process/exec",
    "events/process/fork",
    "events/process/exit",
    "events/network/connect",
    "events/network/accept",
    "events/network/listen",
    "events/network/close",
    "events/network/send",
    "events/file/create",
    "events/file/open",
    "events/file/modify",
    "events/file/delete",
    "events/file/rename",
    "events/file/link",
    "events/file/attributes",
    "events/performance/sample",
    "control/trigger/request",
    "events/loss",
    "events/alert",
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
            CollectionEvent::Alert(_) => 19,
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

    /// The topic of the kind.
    pub(crate) fn topic(self) -> &'static str {
        TOPICS.get(self.index()).copied().unwrap_or("")
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindSet(u64);

impl KindSet {
    pub(crate) const ALL: Self = Self(u64::MAX);
    pub(crate) const NONE: Self = Self(0);

    /// The kinds of the process domain.
    pub(crate) const PROCESS: Self = Self::of_domain("process");
    /// The kinds of the network domain.
    pub(crate) const NETWORK: Self = Self::of_domain("network");
    /// The kinds of the file domain.
    pub(crate) const FILE: Self = Self::of_domain("filesystem");

    const fn of_domain(domain: &str) -> Self {
        let mut set = 0;
        let mut index = 0;
        while index < KINDS.len() {
            if same(KINDS[index].1, domain) {
                set |= 1 << index;
            }
            index += 1;
        }
        Self(set)
    }

    /// The kinds whose topic fulfils a condition.
    pub(crate) fn with_topic(condition: impl Fn(&str) -> bool) -> Self {
        let mut set = 0;
        for (index, topic) in TOPICS.iter().enumerate() {
            if condition(topic) {
                set |= 1 << index;
            }
        }
        Self(set)
    }

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

    /// Whether there is no kind in it.
    pub(crate) const fn is_empty(self) -> bool {
        // `ALL` has bits beyond the table.
        self.0 & ((1 << KINDS.len()) - 1) == 0
    }

    /// Whether it contains the kind at this place of the table.
    #[cfg(test)]
    pub(crate) const fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
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

/// Whether two names are equal; `==` is not possible in a constant.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::TriggerRequest;
    use crate::event::{
        AlertEvent, FilesystemEvent, LossEvent, NetworkEvent, PerformanceEvent, ProcessEvent,
    };

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
        let others = [
            CollectionEvent::Performance(PerformanceEvent::default()),
            CollectionEvent::TriggerRequest(TriggerRequest::default()),
            CollectionEvent::Alert(AlertEvent::default()),
            CollectionEvent::Loss(LossEvent::default()),
        ];
        let mut seen = 0;
        for event in process.into_iter().chain(network).chain(file).chain(others) {
            let (kind, domain) = KINDS[usize::from(KindIndex::of(&event).0)];
            assert_eq!((kind, domain), (event.kind(), event.event_type()));
            seen += 1;
        }
        assert_eq!(seen, KINDS.len());
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

    #[test]
    fn topics_follow_the_names_of_their_kinds() {
        for ((kind, _), topic) in KINDS.iter().zip(TOPICS) {
            let root = if *kind == "trigger.request" { "control" } else { "events" };
            assert_eq!(*topic, format!("{root}/{}", kind.replace('.', "/")));
        }
    }

    #[test]
    fn domains_are_sets_of_their_kinds() {
        assert_eq!(Some(KindSet::PROCESS), KindSet::named("process"));
        assert_eq!(Some(KindSet::NETWORK), KindSet::named("network"));
        assert_eq!(Some(KindSet::FILE), KindSet::named("filesystem"));
        assert!(KindSet::PROCESS.intersection(KindSet::FILE).is_empty());
        assert!(!KindSet::ALL.is_empty());
        assert!(!KindSet::PROCESS.union(KindSet::FILE).is_empty());
    }
}
