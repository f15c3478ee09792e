//! The capabilities that matter here: which ones the agent holds, what each is for, and what becomes of it without.
//!
//! [`CAPABILITIES`] is the one table of that. The agent keeps what is in it and gives up everything else, `collector doctor`
//! prints it, and tests compare the service file and the documentation with it.

use serde::Serialize;

use super::KernelVersion;

/// From this version on maps and programs count as memory of the control group, not as locked memory.
pub(super) const MEMORY_ACCOUNTED: KernelVersion = KernelVersion::new(5, 11);

/// A capability the agent has a use for.
#[derive(Clone, Copy, Debug)]
pub struct Capability {
    /// As in the manual: `CAP_BPF`.
    pub name: &'static str,
    /// Its number, which is its bit in the sets of a process.
    pub number: u32,
    /// What it is needed for.
    pub purpose: &'static str,
    /// What the agent does without it.
    pub without: &'static str,
    /// When it is needed.
    pub need: Need,
    /// Whether what it is for is allowed with these.
    held: fn(&Capabilities) -> bool,
}

/// When a capability is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// As long as the agent runs. Loading and attaching are no exception: a program that turns out to be silent is replaced by
    /// another one later.
    Always,
    /// At the start, where [locked memory is limited](memory_is_limited).
    LiftingLimit,
}

/// What the agent has a use for, the most important first. `CAP_NET_ADMIN` is not in it: nothing attaches to control groups or
/// devices.
pub const CAPABILITIES: [Capability; 5] = [
    Capability {
        name: "CAP_BPF",
        number: 39,
        purpose: "kernel programs: to load them and to make their maps",
        without: "/proc is polled instead of capturing in the kernel: no files, and nothing short-lived",
        need: Need::Always,
        held: |has| has.bpf || has.sys_admin,
    },
    Capability {
        name: "CAP_PERFMON",
        number: 38,
        purpose: "kernel programs: to attach them, and to let them read kernel memory",
        without: "/proc is polled instead of capturing in the kernel: no files, and nothing short-lived",
        need: Need::Always,
        held: |has| has.perfmon || has.sys_admin,
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        number: 19,
        purpose: "reading the /proc of processes of other users",
        without: "executable, directory and namespaces of other users' processes that ran before, or are polled, stay unknown",
        need: Need::Always,
        held: |has| has.sys_ptrace,
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        number: 2,
        purpose: "hashing files that belong to other users",
        without: "files that not everybody may read get no digests, and rules about digests are not asked",
        need: Need::Always,
        held: |has| has.dac_read_search,
    },
    Capability {
        name: "CAP_SYS_RESOURCE",
        number: 24,
        purpose: "lifting the limit of locked memory, for kernel programs before 5.11",
        without: "kernel programs are refused, unless somebody else lifts the limit (LimitMEMLOCK=infinity)",
        need: Need::LiftingLimit,
        held: |has| has.sys_resource,
    },
];

/// Stands in for `CAP_BPF` and `CAP_PERFMON` where a container gives only that.
const SYS_ADMIN: u64 = 1 << 21;

impl Capability {
    /// Its bit.
    #[must_use]
    pub const fn bit(&self) -> u64 {
        1 << self.number
    }

    /// Whether the agent needs it, where locked memory is limited or is not.
    #[must_use]
    pub const fn is_needed(&self, memory_is_limited: bool) -> bool {
        match self.need {
            Need::Always => true,
            Need::LiftingLimit => memory_is_limited,
        }
    }
}

/// Whether this kernel counts maps and programs as locked memory, and this process may lock little.
#[must_use]
pub fn memory_is_limited(kernel: Option<KernelVersion>) -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock);
    kernel.is_some_and(|kernel| kernel < MEMORY_ACCOUNTED) && limit.current.is_some()
}

/// The bits that an agent with these permitted capabilities keeps while it runs: those of [`CAPABILITIES`] that it needs
/// [always](Need::Always), and of the others none. Only where one of `CAP_BPF` and `CAP_PERFMON` is missing, `CAP_SYS_ADMIN` stays.
#[must_use]
pub fn kept(permitted: u64) -> u64 {
    let always = CAPABILITIES.iter().filter(|capability| capability.need == Need::Always);
    let wanted = always.fold(0, |mask, capability| mask | capability.bit());
    let kept = permitted & wanted;
    let tracing = CAPABILITIES[0].bit() | CAPABILITIES[1].bit();
    if kept & tracing == tracing { kept } else { kept | permitted & SYS_ADMIN }
}

/// The capabilities of a process that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "a set of independent facts")]
pub struct Capabilities {
    /// Load programs and create maps.
    pub bpf: bool,
    /// Read kernel memory from programs, attach them to tracepoints.
    pub perfmon: bool,
    /// Attach programs to control groups and sockets.
    pub net_admin: bool,
    /// Lock memory, which kernels before 5.11 count for maps and programs.
    pub sys_resource: bool,
    /// Read other processes' `/proc`.
    pub sys_ptrace: bool,
    /// Read files of others, to hash executables.
    pub dac_read_search: bool,
    /// Stands in for `bpf`, `perfmon` and `net_admin` of BPF.
    pub sys_admin: bool,
}

impl Capabilities {
    /// Reads the line `CapEff:` of `/proc/self/status`.
    #[must_use]
    pub fn parse(status: &str) -> Option<Self> {
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        let mask = u64::from_str_radix(line.trim(), 16).ok()?;
        Some(Self::of_bits(mask))
    }

    /// Takes them from a set, bit by number.
    #[must_use]
    pub const fn of_bits(set: u64) -> Self {
        const fn has(set: u64, bit: u32) -> bool {
            set >> bit & 1 != 0
        }
        Self {
            dac_read_search: has(set, 2),
            net_admin: has(set, 12),
            sys_ptrace: has(set, 19),
            sys_admin: has(set, 21),
            sys_resource: has(set, 24),
            perfmon: has(set, 38),
            bpf: has(set, 39),
        }
    }

    /// Whether what this capability is for is allowed.
    #[must_use]
    pub fn has(&self, capability: &Capability) -> bool {
        (capability.held)(self)
    }

    /// What is needed and not there.
    pub fn missing(self, memory_is_limited: bool) -> impl Iterator<Item = &'static Capability> {
        let is_missing = move |it: &&Capability| it.is_needed(memory_is_limited) && !self.has(it);
        CAPABILITIES.iter().filter(is_missing)
    }

    /// Names of the capabilities that loading tracing programs needs and this process lacks.
    #[must_use]
    pub fn missing_for_tracing(self) -> Vec<&'static str> {
        let tracing = CAPABILITIES.iter().take(2);
        tracing.filter(|capability| !self.has(capability)).map(|capability| capability.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_come_from_the_effective_set() {
        let status = "CapPrm:\t000001ffffffffff\nCapEff:\t000000c000000000\nCapBnd:\t000001ffffffffff\n";
        let capabilities = Capabilities::parse(status).unwrap();
        assert!(capabilities.bpf && capabilities.perfmon && !capabilities.sys_admin);
        assert!(capabilities.missing_for_tracing().is_empty());
        let none = Capabilities::parse("CapEff:\t0000000000000000").unwrap();
        assert_eq!(none.missing_for_tracing(), ["CAP_BPF", "CAP_PERFMON"]);
        let admin = Capabilities::parse("CapEff:\t0000000000200000").unwrap();
        assert!(admin.missing_for_tracing().is_empty());
        assert_eq!(Capabilities::parse("CapEff: zebra"), None);
    }

    #[test]
    fn the_bits_of_the_table_are_those_of_the_sets() {
        for capability in &CAPABILITIES {
            assert!(Capabilities::of_bits(capability.bit()).has(capability), "{}", capability.name);
            assert!(
                !Capabilities::of_bits(!capability.bit() & !SYS_ADMIN).has(capability),
                "{}",
                capability.name
            );
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |bits, memory_is_limited| {
            let missing = Capabilities::of_bits(bits).missing(memory_is_limited);
            missing.map(|capability| capability.name).collect::<Vec<_>>()
        };
        assert_eq!(missing(0, false), ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
        assert_eq!(missing(0, true).last(), Some(&"CAP_SYS_RESOURCE"));
        assert_eq!(missing(u64::MAX, true), [""; 0]);
        assert_eq!(missing(1 << 39 | 1 << 38, false), ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
    }

    #[test]
    fn the_documentation_says_the_same() {
        let page = include_str!("../../../../docs/privileges.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `CAP_")).collect();
        let row = |it: &Capability| format!("| `{}` | {} | {} |", it.name, it.purpose, it.without);
        assert_eq!(rows, CAPABILITIES.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn memory_counts_on_old_kernels_alone() {
        assert!(!memory_is_limited(Some(MEMORY_ACCOUNTED)) && !memory_is_limited(None));
    }

    #[test]
    fn nothing_is_kept_but_what_is_needed_for_long() {
        assert_eq!(kept(u64::MAX), 1 << 39 | 1 << 38 | 1 << 19 | 1 << 2);
        assert_eq!(kept(1 << 39 | 1 << 38 | 1 << 24), 1 << 39 | 1 << 38);
        assert_eq!(kept(0), 0);
        // CAP_SYS_ADMIN is kept as a stand-in alone.
        assert_eq!(kept(1 << 21 | 1 << 38 | 1 << 12), 1 << 21 | 1 << 38);
        assert_eq!(kept(1 << 21 | 1 << 38 | 1 << 39), 1 << 38 | 1 << 39);
    }
}
