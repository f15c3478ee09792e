//! What a capture saw, and how a test asks for it.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use collector_core::json::{HostInfo, write_line};
use collector_core::{CollectionEvent, Sequence};
use collector_sources::CaptureStats;
use serde_json::Value;

use crate::Finished;

/// An event, and the line of JSON it becomes.
#[derive(Clone, Debug)]
pub struct Event {
    /// The event.
    pub event: CollectionEvent,
    /// Its line, once somebody asked.
    json: OnceCell<Value>,
}

impl Event {
    pub(crate) const fn new(event: CollectionEvent) -> Self {
        Self { event, json: OnceCell::new() }
    }

    /// Its line of JSON.
    pub fn json(&self) -> &Value {
        self.json.get_or_init(|| {
            let mut line = Vec::new();
            write_line(&mut line, &self.event, &HostInfo::default()).expect("every event can be written");
            serde_json::from_slice(&line).expect("a line is JSON")
        })
    }

    /// Its kind, for example `file.create`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.event.kind()
    }

    /// A member of its JSON, by pointer: `/file/path`. Null where there is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.json().pointer(pointer).unwrap_or(&Value::Null)
    }

    /// A string member of its JSON.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        let found = self.at(pointer).as_str();
        found.unwrap_or_else(|| panic!("no text at {pointer} in {:#}", self.json()))
    }

    /// A number of its JSON.
    #[must_use]
    pub fn number(&self, pointer: &str) -> u64 {
        let found = self.at(pointer).as_u64();
        found.unwrap_or_else(|| panic!("no number at {pointer} in {:#}", self.json()))
    }

    /// Panics unless the event has all these members with these values. Members of objects that are not named do not
    /// matter; a null says that there is no such member; arrays must be equal.
    #[track_caller]
    pub fn shows(&self, expected: impl Into<Value>) -> &Self {
        let mut differences = Vec::new();
        compare("", &expected.into(), self.json(), &mut differences);
        assert!(differences.is_empty(), "{}\nin {:#}", differences.join("\n"), self.json());
        self
    }
}

fn compare(at: &str, expected: &Value, actual: &Value, differences: &mut Vec<String>) {
    if let (Value::Object(expected), Value::Object(actual)) = (expected, actual) {
        for (name, expected) in expected {
            let actual = actual.get(name).unwrap_or(&Value::Null);
            compare(&format!("{at}/{name}"), expected, actual, differences);
        }
    } else if expected != actual {
        differences.push(format!("{at} should be {expected} and is {actual}"));
    }
}

/// Everything a capture saw, in the order in which it came.
#[derive(Debug)]
pub struct Trace {
    events: Vec<Event>,
    stats: CaptureStats,
    by: Option<Finished>,
}

impl Trace {
    /// A whole capture: checks what holds for each, that the ledger adds up.
    pub(crate) fn of_capture(events: Vec<CollectionEvent>, stats: &CaptureStats) -> Self {
        for domain in &stats.domains {
            assert_eq!(domain.received + domain.lost, domain.sent, "the ledger adds up: {domain:?}");
            assert_eq!(domain.gaps, domain.lost, "every loss is a gap: {domain:?}");
            assert_eq!(domain.decode_errors, 0, "every record is understood: {domain:?}");
        }
        Self { stats: stats.clone(), ..Self::of_events(events) }
    }

    /// Part of a capture. No record comes twice.
    pub(crate) fn of_events(events: Vec<CollectionEvent>) -> Self {
        let mut seen = BTreeSet::new();
        for event in &events {
            if let Some(Sequence { domain, cpu, number }) = event.meta().and_then(|meta| meta.sequence) {
                assert!(seen.insert((domain, cpu, number)), "twice: {event:?}");
            }
        }
        let events = events.into_iter().map(Event::new).collect();
        Self { events, stats: CaptureStats::default(), by: None }
    }

    /// The same trace, as that of this actor.
    #[must_use]
    pub fn by(self, actor: Finished) -> Self {
        Self { by: Some(actor), ..self }
    }

    /// The actor that was watched.
    #[must_use]
    pub fn actor(&self) -> &Finished {
        self.by.as_ref().expect("this trace is of one actor")
    }

    /// The capture's counters at its end; empty for a trace of a part.
    #[must_use]
    pub const fn stats(&self) -> &CaptureStats {
        &self.stats
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events of one domain: `process`, `network` or `file`.
    #[must_use]
    pub fn domain(&self, domain: &str) -> Vec<&Event> {
        self.events.iter().filter(|event| event.kind().starts_with(domain)).collect()
    }

    /// The events of one kind.
    pub fn all(&self, kind: &str) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.kind() == kind)
    }

    /// How many events of one kind there are.
    #[must_use]
    pub fn count(&self, kind: &str) -> usize {
        self.all(kind).count()
    }

    /// The one event of its kind.
    #[track_caller]
    pub fn one(&self, kind: &str) -> &Event {
        self.only(kind, |_| true)
    }

    /// The one event of its kind for which `is_it` holds.
    #[track_caller]
    pub fn only(&self, kind: &str, is_it: impl Fn(&Event) -> bool) -> &Event {
        let found: Vec<_> = self.all(kind).filter(|event| is_it(event)).collect();
        match found[..] {
            [one] => one,
            _ => panic!("there should be one such {kind} and there are {}:\n{}", found.len(), self.summary()),
        }
    }

    /// The one event of its kind about the process `pid`.
    #[track_caller]
    pub fn of(&self, kind: &str, pid: impl TryInto<u32>) -> &Event {
        let pid = pid.try_into().ok();
        self.only(kind, |event| event.event.pid() == pid)
    }

    /// Panics if the kernel did not send something it wanted to send.
    #[track_caller]
    pub fn assert_nothing_lost(&self) {
        // A 32-bit program elsewhere on the machine is none of the test's business.
        let is_ours = |reason: &str| reason != "compat_syscall";
        let losses = self.stats.losses.iter().filter(|loss| loss.is_loss && is_ours(&loss.reason));
        let losses: Vec<_> = losses.collect();
        assert!(losses.is_empty(), "nothing should be lost: {losses:?}");
    }

    /// All events in a few words each, for the message of a failed test.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut lines = String::new();
        for event in &self.events {
            let detail = match &event.event {
                CollectionEvent::Process(event) => format!("{:?}", event.command_line),
                CollectionEvent::Network(_) => event.at("/network").to_string(),
                CollectionEvent::Filesystem(_) => event.at("/file").to_string(),
                _ => event.json().to_string(),
            };
            let pid = event.event.pid().unwrap_or(0);
            lines.push_str(&format!("  {pid:>7} {:<16} {detail:.300}\n", event.kind()));
        }
        lines
    }
}
