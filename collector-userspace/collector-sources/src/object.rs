//! The compiled kernel programs: two objects of the same source, and which of them a kernel takes.
//!
//! Kernels refuse instructions and helpers that they do not know even in code that is never reached, so what old kernels
//! lack cannot be a setting.

use serde::Serialize;

use crate::features::{Fact, Features, KernelVersion};

/// Empty when the kernel programs were not built before this crate.
static RECENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/collector.bpf.o"));
static BEFORE_5_12: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/collector-before-5.12.bpf.o"));

/// First kernel with fetching atomics. From here on programs may also be interrupted for another task sooner or later, which
/// the object for older kernels does not expect.
const FETCHING: KernelVersion = KernelVersion::new(5, 12);

/// An object with all kernel programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// For kernels from 5.12 on.
    #[default]
    Recent,
    /// For kernels before 5.12: needs neither fetching atomics nor the running task with its type, at the price of slower
    /// reads and, now and then, of a record (`sequence_busy`).
    #[serde(rename = "before_5_12")]
    Before512,
}

impl Object {
    /// The object for a kernel, and why this one.
    #[must_use]
    pub fn for_kernel(features: &Features) -> Fact<Self> {
        let wanted = [
            ("fetching atomics", &features.fetch_atomics.value),
            ("bpf_get_current_task_btf", &features.current_task.value),
        ];
        let missing = wanted.into_iter().find(|(_, support)| !support.is_supported());
        match (missing, features.kernel.value) {
            (Some((what, support)), Some(version)) if version < FETCHING => {
                Fact::new(Self::Before512, format!("{what} {support}"))
            }
            (Some((what, support)), _) => {
                let why = format!("{what} {support}, and the other object is for kernels before {FETCHING}");
                Fact::new(Self::Recent, why)
            }
            (None, _) => Fact::new(Self::Recent, "fetching atomics and bpf_get_current_task_btf supported"),
        }
    }

    /// Whether it is part of this build.
    #[must_use]
    pub const fn is_embedded(self) -> bool {
        !self.bytes().is_empty()
    }

    /// The ELF file; empty when it was not built before this crate.
    pub(crate) const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Recent => RECENT,
            Self::Before512 => BEFORE_5_12,
        }
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Recent => write!(f, "for kernels from {FETCHING} on"),
            Self::Before512 => write!(f, "for kernels before {FETCHING}"),
        }
    }
}
