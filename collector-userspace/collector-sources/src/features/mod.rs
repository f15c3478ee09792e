//! What the running kernel and this process's privileges allow, each fact with its evidence.
//!
//! [`Features`] is plain data: the plan decides from it, `collector doctor` prints it, tests make it up.

mod bpf;
mod capabilities;
mod parse;

use std::collections::BTreeMap;

use rustix::io::Errno;
use serde::{Serialize, Serializer};

use crate::btf::{Btf, Class, Prototype};
use crate::offsets::{self, Resolved};
use crate::syscalls::Arch;
use capabilities::MEMORY_ACCOUNTED;

pub use capabilities::{CAPABILITIES, Capabilities, Capability, Need, kept, memory_is_limited};
pub use parse::{CgroupMode, Cgroups, KernelVersion, Lockdown};

/// Where the kernel describes its types.
pub const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Trampolines of aarch64 are complete from here on; before, programs load and do not attach.
const AARCH64_TRAMPOLINES: KernelVersion = KernelVersion::new(6, 4);

/// A value and how it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Where it comes from, or why it is not known.
    pub evidence: String,
}

impl<T> Fact<T> {
    /// A fact.
    pub fn new(value: T, evidence: impl Into<String>) -> Self {
        Self { value, evidence: evidence.into() }
    }
}

/// Answer to "does the kernel accept this".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Support {
    /// It did, when tried.
    Supported,
    /// It refused.
    Refused {
        /// With this error.
        errno: i32,
    },
    /// It could not be tried, because this kernel lacks something.
    Absent {
        /// What.
        reason: String,
    },
}

impl Support {
    /// Whether it is [`Support::Supported`].
    #[must_use]
    pub fn is_supported(&self) -> bool {
        matches!(self, Self::Supported)
    }
}

impl std::fmt::Display for Support {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Supported => f.write_str("supported"),
            Self::Refused { errno } => write!(f, "refused: {}", std::io::Error::from_raw_os_error(*errno)),
            Self::Absent { reason } => f.write_str(reason),
        }
    }
}

impl From<Result<(), Errno>> for Support {
    fn from(result: Result<(), Errno>) -> Self {
        match result {
            Ok(()) => Self::Supported,
            Err(errno) => Self::Refused { errno: errno.raw_os_error() },
        }
    }
}

/// State of the kernel's BTF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum BtfState {
    /// Read and understood.
    Readable {
        /// Bytes.
        bytes: usize,
        /// Types in it.
        types: usize,
    },
    /// The kernel was built without it.
    Absent,
    /// There, but not for us.
    Unreadable {
        /// Error of reading it.
        errno: i32,
    },
    /// Not understood.
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
}

/// A tracepoint or function in the kernel's BTF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Id of the tracepoint's typedef or of the function, for `attach_btf_id`.
    pub btf_id: u32,
    /// The arguments that a program gets. Kernels add some now and then. Without a result where the BTF does not say.
    #[serde(serialize_with = "in_c")]
    pub prototype: Prototype,
}

fn in_c<S: Serializer>(prototype: &Prototype, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(prototype)
}

/// What a trampoline (fentry, fexit, LSM) would meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trampolines {
    /// They work.
    Available,
    /// A hardened kernel refuses them (`EPERM`) although it accepts other programs of ours.
    Forbidden,
    /// This kernel or architecture does not have them.
    Unsupported,
    /// Nothing of ours is accepted: no telling.
    Unknown,
}

/// Everything probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Features {
    /// Version of the kernel.
    pub kernel: Fact<Option<KernelVersion>>,
    /// Architecture, where the kernel programs know it.
    pub arch: Fact<Option<Arch>>,
    /// The kernel's own type information.
    pub btf: Fact<BtfState>,
    /// Effective capabilities of this process.
    pub capabilities: Fact<Option<Capabilities>>,
    /// Kernel lockdown.
    pub lockdown: Fact<Option<Lockdown>>,
    /// Active security modules, in order.
    pub security_modules: Fact<Option<Vec<String>>>,
    /// `kernel.unprivileged_bpf_disabled`: 0 allowed, 1 off until reboot, 2 off.
    pub unprivileged_bpf_disabled: Fact<Option<u32>>,
    /// Control group hierarchies.
    pub cgroups: Fact<Cgroups>,
    /// Whether the limit of locked memory could be lifted; matters before 5.11 only.
    pub memlock: Fact<Support>,
    /// Programs on tracepoints with typed arguments.
    pub tp_btf: Fact<Support>,
    /// Programs on entries of kernel functions.
    pub fentry: Fact<Support>,
    /// Programs on security hooks. Accepted even where they never run: see [`Features::lsm_programs_run`].
    pub lsm: Fact<Support>,
    /// Ring buffer maps.
    pub ring_buffer: Fact<Support>,
    /// The helper `bpf_get_current_task_btf` (5.11).
    pub current_task: Fact<Support>,
    /// Atomic additions that return the old value (5.12).
    pub fetch_atomics: Fact<Support>,
    /// Tracepoints the plan may use, by name; those the kernel lacks are not listed.
    pub tracepoints: BTreeMap<String, Target>,
    /// Kernel functions the plan may use, likewise.
    pub functions: BTreeMap<String, Target>,
}

impl Features {
    /// Whether trampolines can be used, and if not, whose decision that is.
    #[must_use]
    pub fn trampolines(&self) -> Trampolines {
        let old_aarch64 = self.arch.value == Some(Arch::Aarch64)
            && self.kernel.value.is_some_and(|version| version < AARCH64_TRAMPOLINES);
        match &self.fentry.value {
            Support::Supported if old_aarch64 => Trampolines::Unsupported,
            Support::Supported => Trampolines::Available,
            Support::Refused { errno } if *errno == libc::EPERM => {
                if self.tp_btf.value.is_supported() {
                    Trampolines::Forbidden
                } else {
                    Trampolines::Unknown
                }
            }
            Support::Refused { .. } => Trampolines::Unsupported,
            Support::Absent { .. } => Trampolines::Unknown,
        }
    }

    /// Whether security hook programs run once attached: `bpf` must be among the active security modules, or
    /// they load, attach and stay silent. `None` when the modules are not known.
    #[must_use]
    pub fn lsm_programs_run(&self) -> Option<bool> {
        let modules = self.security_modules.value.as_ref()?;
        Some(modules.iter().any(|module| module == "bpf"))
    }
}

/// Features of the running kernel, and the offsets of its structs: what the plan takes.
#[derive(Clone, Debug)]
pub struct Probed {
    /// What is allowed.
    pub features: Features,
    /// Where things are.
    pub offsets: Resolved,
}

/// Probes the running kernel: reads a few files, loads programs of a few instructions and drops them. As a
/// side effect lifts this process's limit of locked memory, where it may.
#[must_use]
pub fn probe() -> Probed {
    probe_with(std::fs::read(VMLINUX_BTF).as_deref())
}

/// The same where [`VMLINUX_BTF`] holds something else: what would become of a kernel whose type information is damaged or
/// absent.
#[must_use]
pub fn probe_with(blob: Result<&[u8], &std::io::Error>) -> Probed {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let machine = uname.machine().to_string_lossy();
    let kernel = KernelVersion::parse(&release);
    // Before the programs are tried: on old kernels they are charged against it.
    let memlock = raise_memlock(kernel);

    let typedefs: Vec<String> = crate::plan::tracepoints().map(typedef_name).collect();
    let fixed: Vec<&str> =
        offsets::names().chain(crate::plan::functions()).chain([FENTRY_TARGET, LSM_TARGET]).collect();
    let wanted = fixed.into_iter().chain(typedefs.iter().map(String::as_str));
    let (btf_state, btf) = match blob {
        Ok(blob) => match Btf::parse(blob, wanted) {
            Ok(btf) => (BtfState::Readable { bytes: blob.len(), types: btf.type_count() }, Some(btf)),
            Err(error) => (BtfState::Invalid { reason: error.to_string() }, None),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (BtfState::Absent, None),
        Err(error) => (BtfState::Unreadable { errno: error.raw_os_error().unwrap_or(libc::EIO) }, None),
    };
    let tracepoints = btf.as_ref().map(find_tracepoints).unwrap_or_default();
    let functions = btf.as_ref().map(find_functions).unwrap_or_default();
    let offsets = btf.as_ref().map_or_else(Resolved::nothing, offsets::resolve);

    let any_tracepoint =
        tracepoints.iter().next().map(|(name, tracepoint)| (name.clone(), tracepoint.btf_id));
    let on_tracepoint = |what: &str, program| match &any_tracepoint {
        Some((name, id)) => Fact::new(
            Support::from(bpf::try_load(bpf::ProgramKind::TpBtf, *id, program)),
            format!("loaded {what} for the tracepoint {name}"),
        ),
        None => Fact::new(no_btf(), format!("no tracepoint in {VMLINUX_BTF}")),
    };
    let on_function = |kind, target: &str| match btf.as_ref().map(|btf| btf.type_id(Class::Function, target))
    {
        Some(Ok(id)) => Fact::new(
            Support::from(bpf::try_load(kind, id, bpf::EMPTY)),
            format!("loaded an empty program for {target}"),
        ),
        Some(Err(error)) => {
            Fact::new(Support::Absent { reason: error.to_string() }, format!("looked for {target} in BTF"))
        }
        None => Fact::new(no_btf(), format!("needs {VMLINUX_BTF}")),
    };

    let features = Features {
        kernel: Fact::new(kernel, format!("uname: {release}")),
        arch: Fact::new(Arch::from_machine(&machine), format!("uname: {machine}")),
        btf: Fact::new(btf_state, VMLINUX_BTF),
        capabilities: from_file("/proc/self/status", Capabilities::parse),
        lockdown: from_file("/sys/kernel/security/lockdown", Lockdown::parse),
        security_modules: security_modules(),
        unprivileged_bpf_disabled: from_file("/proc/sys/kernel/unprivileged_bpf_disabled", |text| {
            text.trim().parse().ok()
        }),
        cgroups: cgroups(),
        memlock,
        tp_btf: on_tracepoint("an empty program", bpf::EMPTY),
        fentry: on_function(bpf::ProgramKind::Fentry, FENTRY_TARGET),
        lsm: on_function(bpf::ProgramKind::Lsm, LSM_TARGET),
        ring_buffer: Fact::new(Support::from(bpf::try_ring_buffer()), "created one of a page"),
        current_task: on_tracepoint("a call of bpf_get_current_task_btf", bpf::CURRENT_TASK),
        fetch_atomics: on_tracepoint("an atomic fetch-and-add", bpf::FETCH_ADD),
        tracepoints,
        functions,
    };
    Probed { features, offsets }
}

/// Functions every kernel has, where it has hooks of that sort at all. Nothing is attached to them.
const FENTRY_TARGET: &str = "security_file_open";
const LSM_TARGET: &str = "bpf_lsm_file_open";

fn no_btf() -> Support {
    Support::Absent { reason: "the kernel's BTF is not available".to_owned() }
}

fn typedef_name(tracepoint: &str) -> String {
    format!("btf_trace_{tracepoint}")
}

fn find_tracepoints(btf: &Btf<'_>) -> BTreeMap<String, Target> {
    crate::plan::tracepoints()
        .filter_map(|name| {
            let mut target = find_target(btf, Class::Typedef, &typedef_name(name))?;
            name.clone_into(&mut target.prototype.name);
            // The first parameter is the data pointer of whoever registered, which programs do not get.
            target.prototype.parameters.drain(..target.prototype.parameters.len().min(1));
            Some((name.to_owned(), target))
        })
        .collect()
}

fn find_functions(btf: &Btf<'_>) -> BTreeMap<String, Target> {
    crate::plan::functions()
        .filter_map(|name| Some((name.to_owned(), find_target(btf, Class::Function, name)?)))
        .collect()
}

fn find_target(btf: &Btf<'_>, class: Class, name: &str) -> Option<Target> {
    let btf_id = btf.type_id(class, name).ok()?;
    let nameless = |_| Prototype { name: name.to_owned(), ..Prototype::default() };
    Some(Target { btf_id, prototype: btf.prototype(class, name).unwrap_or_else(nameless) })
}

/// Lifts this process's limit of locked memory, where it may. [`probe`] does so too; this is for whoever gives up the
/// privileges for it before. Not needed from 5.11 on, and of no consequence there.
pub fn lift_memory_limit() {
    // Whether that helped is among the features.
    let _ = raise_memlock(None);
}

/// Lifts the limit of locked memory. On kernels that do not count it, failure is of no consequence.
fn raise_memlock(kernel: Option<KernelVersion>) -> Fact<Support> {
    let unlimited = rustix::process::Rlimit { current: None, maximum: None };
    let result = rustix::process::setrlimit(rustix::process::Resource::Memlock, unlimited);
    match (result, kernel) {
        (Err(errno), Some(version)) if version >= MEMORY_ACCOUNTED => Fact::new(
            Support::Supported,
            format!("setrlimit: {errno}; not needed from {MEMORY_ACCOUNTED} on"),
        ),
        (result, _) => Fact::new(Support::from(result), "setrlimit(RLIMIT_MEMLOCK, unlimited)"),
    }
}

fn security_modules() -> Fact<Option<Vec<String>>> {
    const FILE: &str = "/sys/kernel/security/lsm";
    let listed = from_file(FILE, |text| Some(text.trim().split(',').map(str::to_owned).collect()));
    if listed.value.is_some() {
        return listed;
    }
    // securityfs is not mounted everywhere; 6.8 and later have a system call as well.
    match bpf::security_modules() {
        Ok(ids) => {
            let names = ids.into_iter().map(parse::security_module).collect();
            Fact::new(Some(names), "lsm_list_modules")
        }
        Err(errno) => Fact::new(None, format!("{}; lsm_list_modules: {errno}", listed.evidence)),
    }
}

fn cgroups() -> Fact<Cgroups> {
    const FILE: &str = "/proc/self/mountinfo";
    match std::fs::read_to_string(FILE) {
        Ok(text) => Fact::new(Cgroups::parse(&text), FILE),
        Err(error) => Fact::new(Cgroups::parse(""), format!("{FILE}: {error}")),
    }
}

fn from_file<T>(path: &str, parse: impl FnOnce(&str) -> Option<T>) -> Fact<Option<T>> {
    match std::fs::read_to_string(path) {
        Ok(text) => match parse(&text) {
            Some(value) => Fact::new(Some(value), path),
            None => Fact::new(None, format!("{path}: not understood")),
        },
        Err(error) => Fact::new(None, format!("{path}: {error}")),
    }
}
