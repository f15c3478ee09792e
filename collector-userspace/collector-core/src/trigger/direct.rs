//! Conditions that are no expressions over fields: those that remember, compare fractions, or call foreign code.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::{CollectionEvent, KINDS, PerformanceEvent, ProcessEvent};
use crate::panics::message_of;

/// A predicate of somebody else.
#[derive(Clone)]
pub(super) struct Custom {
    predicate: Arc<dyn Fn(&CollectionEvent) -> bool + Send + Sync>,
    /// It has panicked, and is asked no more.
    broken: Arc<AtomicBool>,
}

impl Custom {
    pub(super) fn new(predicate: impl Fn(&CollectionEvent) -> bool + Send + Sync + 'static) -> Self {
        Self { predicate: Arc::new(predicate), broken: Arc::default() }
    }

    fn holds(&self, event: &CollectionEvent) -> bool {
        if self.broken.load(Ordering::Relaxed) {
            return false;
        }
        // What it left half done is its own business: it is not called again.
        catch_unwind(AssertUnwindSafe(|| (self.predicate)(event))).unwrap_or_else(|payload| {
            self.broken.store(true, Ordering::Relaxed);
            let error = message_of(payload);
            tracing::error!(error, "a predicate of a trigger condition panicked and is called no more");
            false
        })
    }
}

/// How a condition is looked for that is not an expression over fields.
pub(super) enum Direct {
    Mismatch(Hashes),
    Anomaly { cpu_threshold: f64, memory_threshold: u64 },
    Custom(Custom),
}

impl Direct {
    /// The kinds of events it can hold for.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        let domains: Option<&[&str]> = match self {
            Self::Custom(_) => None,
            Self::Mismatch(_) => Some(&["process"]),
            Self::Anomaly { .. } => Some(&["process", "performance"]),
        };
        let kinds =
            KINDS.iter().filter(move |(_, domain)| domains.is_none_or(|domains| domains.contains(domain)));
        kinds.map(|(kind, _)| *kind)
    }

    pub(super) fn holds(&self, event: &CollectionEvent) -> bool {
        match (self, event) {
            (Self::Custom(custom), event) => custom.holds(event),
            (Self::Mismatch(hashes), CollectionEvent::Process(process)) => hashes.differ(process),
            (Self::Anomaly { cpu_threshold, memory_threshold }, CollectionEvent::Process(process)) => {
                process.cpu_usage.is_some_and(|usage| usage > *cpu_threshold)
                    || process.memory_usage.is_some_and(|usage| usage > *memory_threshold)
            }
            (Self::Anomaly { cpu_threshold, memory_threshold }, CollectionEvent::Performance(sample)) => {
                is_anomaly(sample, *cpu_threshold, *memory_threshold)
            }
            (Self::Mismatch(_) | Self::Anomaly { .. }, _) => false,
        }
    }
}

/// Whether a sample of a process is above the limit for what it measures. What the whole system takes has other limits.
fn is_anomaly(sample: &PerformanceEvent, cpu_threshold: f64, memory_threshold: u64) -> bool {
    let PerformanceEvent { metric_name, value, unit, pid, .. } = sample;
    pid.is_some()
        && match (metric_name.as_str(), unit.as_str()) {
            ("cpu_usage", "percent") => *value > cpu_threshold,
            ("memory_usage", "bytes") => *value > memory_threshold as f64,
            _ => false,
        }
}

/// The hash last seen of each executable.
#[derive(Default)]
pub(super) struct Hashes(Mutex<Known>);

/// Hashes by path, and the paths in the order in which they came.
#[derive(Default)]
struct Known {
    hashes: HashMap<Vec<u8>, String>,
    order: VecDeque<Vec<u8>>,
}

impl Hashes {
    /// Most that are remembered; the oldest go first.
    const MOST: usize = 4_096;

    /// Whether the executable's hash differs from what was known; from here on the new one is known.
    fn differ(&self, process: &ProcessEvent) -> bool {
        let says_so = |metadata: &serde_json::Value| {
            let nested = metadata.pointer("/integrity/on_disk_mismatch");
            nested.or_else(|| metadata.get("integrity.on_disk_mismatch"))
                == Some(&serde_json::Value::Bool(true))
        };
        if process.platform_metadata.as_ref().is_some_and(says_so) {
            return true;
        }
        let (Some(path), Some(hash)) = (&process.executable_path, &process.executable_hash) else {
            return false;
        };
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { hashes, order } = &mut *guard;
        if let Some(before) = hashes.get_mut(path.as_bytes()) {
            return before != hash && {
                before.clone_from(hash);
                true
            };
        }
        if hashes.len() >= Self::MOST
            && let Some(oldest) = order.pop_front()
        {
            hashes.remove(&oldest);
        }
        hashes.insert(path.as_bytes().to_owned(), hash.clone());
        order.push_back(path.as_bytes().to_owned());
        false
    }
}
