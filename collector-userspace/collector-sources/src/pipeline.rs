//! Record bytes in, events out: decode, identity, adapt and ledger joined, without I/O.
//!
//! Live sources, replay and benches all run this. The one exception to "without I/O" is the user database behind
//! [`Users::system`]; replay has [`Users::recorded`] instead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use collector_common::{Domain, Kind};
use collector_core::CollectionEvent;

use crate::adapt::{
    Context, Executable, adapt_exec, adapt_exit, adapt_file, adapt_fork, adapt_network, adapt_snapshot,
};
use crate::clock::{Anchor, Clock};
use crate::decode::{DecodeError, DecodeErrorKind, Record, decode, decode_header};
use crate::identity::snapshot::SnapshotEntry;
use crate::identity::{ProcessTable, Users};
use crate::ledger::{CounterDelta, Ledger, LossReporter, Start};
use crate::stats::DomainStats;

/// What the domains of one capture share: who processes are and what time it is.
#[derive(Debug)]
pub struct Shared {
    /// Processes.
    pub table: ProcessTable,
    /// Time.
    pub clock: Clock,
}

impl Shared {
    /// For as many pipelines as there are readers.
    #[must_use]
    pub fn new(table: ProcessTable, clock: Clock) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { table, clock }))
    }
}

/// Turns records into events.
///
/// One per reader; all of one capture over the same [`Shared`]. The lock is held to look processes up and never
/// while events are made or users are asked for.
#[derive(Debug)]
pub struct Pipeline {
    shared: Arc<Mutex<Shared>>,
    users: Users,
    sources: [&'static str; Domain::COUNT],
    ledger: Ledger,
    reporter: LossReporter,
    decode_errors: [[u64; DecodeErrorKind::COUNT]; Domain::COUNT],
    /// Kinds that become events, see [`Kind::bit`]; the others serve identity only.
    publish: u64,
}

impl Pipeline {
    /// A pipeline whose events carry these source names, by domain.
    #[must_use]
    pub fn new(
        shared: Arc<Mutex<Shared>>,
        users: Users,
        sources: [&'static str; Domain::COUNT],
        start: Start,
    ) -> Self {
        Self {
            shared,
            users,
            sources,
            ledger: Ledger::new(start),
            reporter: LossReporter::default(),
            decode_errors: Default::default(),
            publish: u64::MAX,
        }
    }

    /// Publishes events of these kinds alone (see [`Kind::bit`]). Records of the others still tell who is who.
    #[must_use]
    pub fn publishing(mut self, kinds: u64) -> Self {
        self.publish = kinds;
        self
    }

    /// A record of the process domain.
    pub fn process_record(&mut self, bytes: &[u8], out: &mut Vec<CollectionEvent>) {
        self.record(Domain::Process, bytes, out);
    }

    /// A record from the ring of `domain`. What cannot be decoded is counted and gives no event.
    pub fn record(&mut self, domain: Domain, bytes: &[u8], out: &mut Vec<CollectionEvent>) {
        // Before the rest, so that an undecodable record is not taken for a lost one as well.
        if let Ok(header) = decode_header(bytes) {
            self.ledger.observe(domain, header.cpu, header.seq);
        }
        match decode(bytes) {
            Ok(record) if record.kind().domain() == domain => {
                let event = self.adapt(&record);
                if self.publish & record.kind().bit() != 0 {
                    out.push(event);
                }
            }
            Ok(record) => self.count(domain, DecodeError::Domain { kind: record.kind(), ring: domain }),
            Err(error) => self.count(domain, error),
        }
    }

    /// A process that `/proc` showed when capture began.
    pub fn snapshot(&mut self, entry: &SnapshotEntry, out: &mut Vec<CollectionEvent>) {
        let source = self.source(Domain::Process);
        let (identity, boot, context) = {
            let mut shared = lock(&self.shared);
            let identity = shared.table.on_snapshot(entry);
            (identity, shared.table.boot(), Context { clock: shared.clock, source })
        };
        if self.publishes(Domain::Process) {
            let user = entry.uid.and_then(|uid| self.users.name(uid));
            out.push(CollectionEvent::Process(adapt_snapshot(entry, &identity, &boot, user, &context)));
        }
    }

    /// Looks at the clocks if that is due; returns a new anchor if there had to be one. Live sources only.
    pub fn check_clock(&mut self, now_ns: u64) -> Option<Anchor> {
        lock(&self.shared).clock.check(now_ns, Anchor::read)
    }

    /// Maps times from here on by this anchor. Replay only.
    pub fn set_anchor(&mut self, anchor: Anchor) {
        lock(&self.shared).clock.set_anchor(anchor);
    }

    /// Closes holes of a domain that have waited long enough and states losses. Call it on a timer, with what the
    /// kernel's counters for this domain have gained, read after the last record was passed in.
    pub fn settle(
        &mut self,
        now_ns: u64,
        domain: Domain,
        deltas: &[CounterDelta],
        out: &mut Vec<CollectionEvent>,
    ) {
        if domain == Domain::Process {
            lock(&self.shared).table.expire(now_ns);
        }
        let gaps = self.ledger.settle(domain);
        let losses = self.reporter.report(domain, &gaps, deltas);
        self.state_losses(now_ns, domain, losses, out);
    }

    /// The end of a domain: `sent` is, by processor, how many records the kernel side wanted to send. What is missing
    /// then is lost, whatever the counters say.
    pub fn finish(
        &mut self,
        now_ns: u64,
        domain: Domain,
        sent: &[u64],
        deltas: &[CounterDelta],
        out: &mut Vec<CollectionEvent>,
    ) {
        let gaps = self.ledger.finish(domain, sent);
        let losses = self.reporter.finish(domain, &gaps, deltas);
        self.state_losses(now_ns, domain, losses, out);
    }

    /// Whether any kind of a domain becomes events.
    fn publishes(&self, domain: Domain) -> bool {
        Kind::ALL.iter().any(|kind| kind.domain() == domain && self.publish & kind.bit() != 0)
    }

    /// The ledger's side of the statistics of a domain; the kernel's side is left at zero.
    #[must_use]
    pub fn domain_stats(&self, domain: Domain) -> DomainStats {
        let counts = self.ledger.counts(domain);
        DomainStats {
            domain: domain.name().to_owned(),
            received: counts.received,
            gaps: counts.lost,
            decode_errors: self.decode_errors(domain).iter().map(|(_, count)| count).sum(),
            ..DomainStats::default()
        }
    }

    /// Records of a domain that could not be decoded, by kind of error.
    #[must_use]
    pub fn decode_errors(&self, domain: Domain) -> [(DecodeErrorKind, u64); DecodeErrorKind::COUNT] {
        let counts = self.decode_errors.get(domain as usize).copied().unwrap_or_default();
        DecodeErrorKind::ALL.map(|kind| (kind, counts.get(kind as usize).copied().unwrap_or(0)))
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Names of users: replay sets them.
    pub const fn users_mut(&mut self) -> &mut Users {
        &mut self.users
    }

    /// What the domains share.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Mutex<Shared>> {
        &self.shared
    }

    fn adapt(&mut self, record: &Record<'_>) -> CollectionEvent {
        let source = self.source(record.kind().domain());
        let mut shared = lock(&self.shared);
        let context = Context { clock: shared.clock, source };
        match record {
            Record::Exec(record) => {
                let executable = Executable::of(record);
                let identity = shared.table.on_exec(record, executable.path.clone());
                drop(shared);
                let user = self.users.name(record.wire.task.uid);
                CollectionEvent::Process(adapt_exec(record, executable, &identity, user, &context))
            }
            Record::Fork(record) => {
                let identity = shared.table.on_fork(record);
                drop(shared);
                let user = self.users.name(record.wire.task.uid);
                CollectionEvent::Process(adapt_fork(record, &identity, user, &context))
            }
            Record::Exit(record) => {
                let identity = shared.table.on_exit(record);
                drop(shared);
                let user = self.users.name(record.wire.task.uid);
                CollectionEvent::Process(adapt_exit(record, &identity, user, &context))
            }
            Record::Network(record) => {
                let process = shared.table.resolve(&record.wire.task, record.wire.header.ktime_ns);
                drop(shared);
                CollectionEvent::Network(adapt_network(record, process, &context))
            }
            Record::File(record) => {
                let process = shared.table.resolve(&record.wire.task, record.wire.header.ktime_ns);
                drop(shared);
                CollectionEvent::Filesystem(adapt_file(record, process, &context))
            }
        }
    }

    fn state_losses(
        &self,
        now_ns: u64,
        domain: Domain,
        losses: Vec<crate::ledger::Loss>,
        out: &mut Vec<CollectionEvent>,
    ) {
        if losses.is_empty() || !self.publishes(domain) {
            return;
        }
        let timestamp = lock(&self.shared).clock.system_time(now_ns);
        for loss in losses {
            let source = self.source(loss.domain);
            out.push(CollectionEvent::Loss(loss.into_event(timestamp, source)));
        }
    }

    fn source(&self, domain: Domain) -> &'static str {
        self.sources.get(domain as usize).copied().unwrap_or_default()
    }

    fn count(&mut self, domain: Domain, error: DecodeError) {
        let counter = self
            .decode_errors
            .get_mut(domain as usize)
            .and_then(|counts| counts.get_mut(error.kind() as usize));
        if let Some(counter) = counter {
            *counter += 1;
        }
        tracing::debug!(domain = domain.name(), %error, "record left out");
    }
}

/// A panic elsewhere leaves table and clock usable: they hold no half-made state between calls.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Boot, TableConfig};
    use crate::testing::{self, task};

    fn shared() -> Arc<Mutex<Shared>> {
        let table = ProcessTable::new(Boot::new("3f2a9c1e", 100), TableConfig::default());
        Shared::new(table, Clock::default())
    }

    fn pipeline(shared: &Arc<Mutex<Shared>>) -> Pipeline {
        Pipeline::new(Arc::clone(shared), Users::recorded(), ["p", "n", "f"], Start::Fresh)
    }

    #[test]
    fn readers_of_one_capture_know_the_same_processes() {
        let shared = shared();
        let (mut processes, mut files) = (pipeline(&shared), pipeline(&shared));
        let mut out = Vec::new();
        processes.process_record(&testing::exec(task(5), "/bin/sh", &["sh"]).build(), &mut out);
        files.record(Domain::File, &testing::file(Kind::FileOpen, task(5), "/x").build(), &mut out);
        let [CollectionEvent::Process(exec), CollectionEvent::Filesystem(open)] = &*out else {
            panic!("{out:?}")
        };
        assert_eq!((exec.meta.source, open.meta.source), ("p", "f"));
        let process = open.process.as_ref().unwrap();
        assert_eq!(process.exec_id, exec.exec_id);
        assert_eq!(process.executable, exec.executable_path);
    }

    #[test]
    fn what_cannot_be_decoded_is_counted_by_kind_and_is_no_gap() {
        let mut pipeline = pipeline(&shared());
        let mut out = Vec::new();
        let mut odd_capture = testing::fork(task(5)).sequence(0, 0).build();
        odd_capture[12] = 9;
        pipeline.process_record(&odd_capture, &mut out);
        let elsewhere = testing::file(Kind::FileOpen, task(5), "/x").sequence(0, 1).build();
        pipeline.process_record(&elsewhere, &mut out);
        pipeline.process_record(&[1, 2, 3], &mut out);
        pipeline.finish(0, Domain::Process, &[2], &[], &mut out);
        assert_eq!(out, []);
        let counted: Vec<_> =
            pipeline.decode_errors(Domain::Process).into_iter().filter(|(_, count)| *count > 0).collect();
        let expected = [
            (DecodeErrorKind::HeaderTruncated, 1),
            (DecodeErrorKind::Capture, 1),
            (DecodeErrorKind::Domain, 1),
        ];
        assert_eq!(counted, expected);
        let stats = pipeline.domain_stats(Domain::Process);
        assert_eq!((stats.received, stats.gaps, stats.decode_errors), (2, 0, 3));
    }

    #[test]
    fn a_hole_that_nothing_explains_becomes_a_loss_event_once() {
        let mut pipeline = pipeline(&shared());
        let mut out = Vec::new();
        pipeline.process_record(&testing::fork(task(5)).sequence(0, 3).build(), &mut out);
        out.clear();
        for _ in 0..3 {
            pipeline.settle(0, Domain::Process, &[], &mut out);
        }
        let [CollectionEvent::Loss(loss)] = &*out else { panic!("{out:?}") };
        assert_eq!((loss.domain, loss.count, loss.meta.source), ("process", 3, "p"));
        assert_eq!((loss.first_seq, loss.last_seq), (Some(0), Some(2)));
    }
}
