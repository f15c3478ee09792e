//! Where and how an event was captured.

/// Provenance common to all events of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventMeta {
    /// Name of the source that produced it, as [`EventSource::name`](crate::EventSource::name) gives it. A collector fills it
    /// in where the source leaves it empty.
    pub source: &'static str,
    /// How the content was read.
    pub capture: Capture,
    /// Position in the kernel's sequence; absent for sources without one.
    pub sequence: Option<Sequence>,
}

/// How the content of an event was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Capture {
    /// From kernel objects, where it happened.
    Kernel,
    /// From a system call's arguments in user memory: the program may have changed them meanwhile.
    Syscall,
    /// From `/proc`, after the fact.
    Procfs,
    /// By a source that does not say.
    #[default]
    Unknown,
}

impl Capture {
    /// The name used in JSON; `None` for [`Capture::Unknown`].
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Kernel => Some("kernel"),
            Self::Syscall => Some("syscall"),
            Self::Procfs => Some("procfs"),
            Self::Unknown => None,
        }
    }
}

/// A place in one of the kernel's sequences: per domain and processor, without holes unless events were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    /// `process`, `network` or `file`.
    pub domain: &'static str,
    /// Processor that ran the probe.
    pub cpu: u32,
    /// Number inside that sequence, from 0.
    pub number: u64,
}
