//! What to capture and how: the input of the plan and the loader.

use std::path::PathBuf;
use std::time::Duration;

use collector_common::{ARGV_MAX, Domain, Kind};

use crate::plan::Tier;

/// Configuration of kernel capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelConfig {
    /// Kinds to capture, see [`Kind::bit`].
    pub kinds: u64,
    /// Whose operations to capture.
    pub filter: Filter,
    /// Only programs of this tier, instead of the best that this kernel has for each kind.
    pub tier: Option<Tier>,
    /// Bytes of each ring; rounded up to a power of two of at least a page. Counted twice in the agent's resident
    /// memory, because a ring is mapped twice in a row.
    pub rings: RingSizes,
    /// Bytes of an argument vector to keep, at most [`ARGV_MAX`].
    pub argv_max: u32,
    /// How often the network and file rings are drained.
    pub drain_interval: Duration,
    /// Most processes kept in the identity table; the oldest dead ones go first.
    pub max_processes: usize,
    /// Most open TCP connections the kernel side remembers, some 200 bytes of kernel memory each; beyond that the least
    /// recently used is forgotten, and counted as `table_full`.
    pub max_connections: u32,
    /// Most written files that are still open the kernel side remembers, as above.
    pub max_written_files: u32,
    /// Whether the agent's own network and file operations are left out (counted, not sent).
    pub exclude_own: bool,
    /// Whether the kernel accounts run time per program (costs about 30 ns a run); `collector stats` shows it.
    pub program_statistics: bool,
    /// How often every kernel program has to prove that it runs; quick proofs come every ten seconds at least. Zero: never.
    pub self_check: Duration,
    /// Where the proof may make a directory of its own for a moment. Without one, programs for what happens to names are not
    /// tried in tier A.
    pub self_check_dir: Option<PathBuf>,
}

/// Bytes of the three rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Process records.
    pub process: u32,
    /// Network records.
    pub network: u32,
    /// File records.
    pub file: u32,
}

/// Whose operations are captured. An empty filter captures everybody's; set parts must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These processes and their descendants.
    pub pids: Vec<u32>,
    /// Processes of this control group id.
    pub cgroup_id: Option<u64>,
    /// Processes of this real user id.
    pub uid: Option<u32>,
}

impl Default for KernelConfig {
    fn default() -> Self {
        Self {
            kinds: Kind::ALL.iter().fold(0, |mask, kind| mask | kind.bit()),
            filter: Filter::default(),
            tier: None,
            rings: RingSizes { process: 4 << 20, network: 2 << 20, file: 4 << 20 },
            argv_max: ARGV_MAX as u32,
            drain_interval: Duration::from_millis(25),
            max_processes: 32_768,
            max_connections: 16_384,
            max_written_files: 16_384,
            exclude_own: true,
            program_statistics: false,
            self_check: Duration::from_secs(60),
            self_check_dir: None,
        }
    }
}

impl KernelConfig {
    /// Whether any kind of `domain` is wanted.
    #[must_use]
    pub fn wants(&self, domain: Domain) -> bool {
        Kind::ALL.iter().any(|kind| kind.domain() == domain && self.kinds & kind.bit() != 0)
    }

    /// Leaves only the kinds of these domains switched on.
    pub fn retain_domains(&mut self, domains: &[Domain]) {
        for kind in Kind::ALL {
            if !domains.contains(&kind.domain()) {
                self.kinds &= !kind.bit();
            }
        }
    }
}
