//! Finding out: facts of the kernel, of this process and of the places the agent uses.

use std::path::{Path, PathBuf};

use collector_sources::features::{Capabilities, Fact, Features, probe};
use collector_sources::object::Object;
use collector_sources::plan::{Limits, plan};
use serde::Serialize;

use crate::capture::{PlannedKind, describe, kinds_of};
use crate::config::{Loaded, Mode, Source};
use crate::instance::Instance;
use crate::paths::Paths;
use crate::polling;
use crate::sources::planned_samples;
use crate::status;

/// Everything `doctor` says.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Diagnosis {
    /// Whether something that the configuration asks for can be captured.
    pub(super) can_capture: bool,
    /// Whether `run` would poll `/proc` instead.
    pub(super) polls_instead: bool,
    /// Why not, and what to do.
    pub(super) obstacles: Vec<Obstacle>,
    pub(super) kinds: Vec<PlannedKind>,
    /// The kernel programs that are for this kernel.
    pub(super) object: Fact<Object>,
    pub(super) features: Features,
    pub(super) privileges: Vec<Privilege>,
    pub(super) places: Vec<Place>,
    pub(super) configuration: Vec<String>,
    pub(super) agent: Option<Agent>,
}

/// Something in the way, and the way around.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Obstacle {
    pub(super) problem: String,
    pub(super) remedy: String,
}

/// A capability: what it is for, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Privilege {
    pub(super) name: &'static str,
    pub(super) has: bool,
    /// What does not work without it.
    pub(super) without: &'static str,
}

/// A file or directory the agent writes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub(super) what: &'static str,
    pub(super) path: PathBuf,
    /// Why it cannot be used, if it cannot.
    pub(super) problem: Option<String>,
    /// What there is to say about it otherwise.
    pub(super) note: String,
}

/// The running agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Agent {
    pub(super) pid: u32,
    /// Events lost in the kernel, and on the way to output and store.
    pub(super) lost_in_kernel: u64,
    pub(super) lost_later: u64,
    /// Trouble it has.
    pub(super) trouble: Vec<String>,
}

impl Diagnosis {
    /// Whether something is missing that does not stop the main job.
    pub(super) fn is_degraded(&self) -> bool {
        let lost = self
            .agent
            .as_ref()
            .is_some_and(|agent| agent.lost_in_kernel + agent.lost_later > 0 || !agent.trouble.is_empty());
        lost || self.kinds.iter().any(|kind| !kind.lacks.is_empty())
            || self.places.iter().any(|place| place.problem.is_some())
    }
}

/// Looks at everything.
pub(super) fn diagnose(paths: &Paths, loaded: &Loaded, runtime_dirs: &[PathBuf]) -> Diagnosis {
    let config = &loaded.config;
    let probed = probe();
    let limits = Limits { tier: config.capture.tier.forced(), ..Limits::default() };
    let plan = plan(&probed.features, &probed.offsets, kinds_of(&config.capture.sources), &limits);
    let mut kinds = describe(&plan);
    let needs_kernel = config.capture.needs_kernel();
    let samples = config.capture.sources.contains(&Source::Performance).then(planned_samples);
    let object = Object::for_kernel(&probed.features);
    let has_programs = object.value.is_embedded();
    let mut obstacles = Vec::new();
    if needs_kernel && !has_programs {
        obstacles.push(Obstacle {
            problem: format!("this build has no kernel programs {}", object.value),
            remedy: "build them with `cargo xtask build-ebpf`, then build collector again".to_owned(),
        });
    }
    let capabilities = probed.features.capabilities.value;
    if needs_kernel {
        obstacles.extend(kernel_obstacle(&kinds, capabilities));
    }
    let can_sample = samples.as_ref().is_some_and(|samples| samples.captured);
    let database = config.store.path.clone().unwrap_or_else(|| paths.database());
    let mut places = Vec::new();
    if config.store.enabled {
        places.push(database_place(database));
    }
    if let Some(path) = &config.output.path {
        places.push(file_place("output", path));
    }
    if let Some(directory) = runtime_dirs.first() {
        places.push(directory_place("runtime directory", directory));
    }
    let can_capture = can_sample || (has_programs && kinds.iter().any(|kind| kind.captured));
    kinds.extend(samples);
    Diagnosis {
        can_capture,
        polls_instead: !can_capture
            && config.capture.mode != Mode::Kernel
            && polling::plan(&config.capture.sources).iter().any(|kind| kind.captured),
        obstacles,
        kinds,
        privileges: privileges(capabilities),
        object,
        features: probed.features,
        places,
        configuration: loaded.sources.clone(),
        agent: runtime_dirs.iter().find_map(|directory| agent(directory)),
    }
}

/// What keeps everything from being captured, if one thing does.
pub(super) fn kernel_obstacle(kinds: &[PlannedKind], capabilities: Option<Capabilities>) -> Option<Obstacle> {
    if kinds.iter().any(|kind| kind.captured) {
        return None;
    }
    let missing = capabilities.map(Capabilities::missing_for_tracing).unwrap_or_default();
    if !missing.is_empty() {
        return Some(Obstacle {
            problem: format!("this process lacks {}", missing.join(" and ")),
            remedy: "run it as root (`sudo collector run`), or give the program what it needs: `sudo setcap \
                     cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search=ep $(command -v collector)`"
                .to_owned(),
        });
    }
    let reason = kinds.iter().flat_map(|kind| &kind.lacks).next()?;
    Some(Obstacle {
        problem: format!("this kernel does not allow it: {reason}"),
        remedy: "a kernel from 5.10 on with CONFIG_DEBUG_INFO_BTF and CONFIG_BPF_SYSCALL is needed; in a container, the \
                 host's kernel must allow it (--privileged, or cap-add BPF and PERFMON)"
            .to_owned(),
    })
}

/// Which privileges there are, and what each missing one costs.
pub(super) fn privileges(capabilities: Option<Capabilities>) -> Vec<Privilege> {
    let Some(has) = capabilities else { return Vec::new() };
    let Capabilities { bpf, perfmon, net_admin: _, sys_resource, sys_ptrace, dac_read_search, sys_admin } =
        has;
    let privilege = |name, has, without| Privilege { name, has, without };
    vec![
        privilege("CAP_BPF", bpf || sys_admin, "no kernel capture at all"),
        privilege("CAP_PERFMON", perfmon || sys_admin, "no kernel capture at all"),
        privilege(
            "CAP_SYS_PTRACE",
            sys_ptrace,
            "processes of other users that run at the start are known by name only",
        ),
        privilege("CAP_DAC_READ_SEARCH", dac_read_search, "executables of other users cannot be looked at"),
        privilege(
            "CAP_SYS_RESOURCE",
            sys_resource,
            "on kernels before 5.11 the limit of locked memory must be raised by others",
        ),
    ]
}

fn agent(runtime_dir: &Path) -> Option<Agent> {
    let pid = Instance::running(runtime_dir)?;
    let status = status::read(runtime_dir).ok().flatten().unwrap_or_default();
    let (lost_in_kernel, lost_later) = status.lost();
    let mut trouble = Vec::new();
    if let Some(store) = status.store.as_ref().filter(|store| store.failing) {
        trouble.push(format!("the store cannot write: {}", store.last_error.as_deref().unwrap_or("unknown")));
    }
    for source in &status.sources {
        if let Some(error) = &source.last_error {
            trouble.push(format!("source {}: {error}", source.name));
        }
    }
    Some(Agent { pid, lost_in_kernel, lost_later, trouble })
}

fn database_place(path: PathBuf) -> Place {
    let mut place = file_place("database", &path);
    if place.problem.is_none() && path.exists() {
        let sql = "SELECT (SELECT count(*) FROM events), (SELECT page_count * page_size FROM pragma_page_count, pragma_page_size)";
        match collector_store::query(&path, sql, &collector_store::Limits::default()) {
            Ok(rows) => {
                if let Some(
                    [collector_store::Value::Integer(events), collector_store::Value::Integer(bytes)],
                ) = rows.rows.first().map(Vec::as_slice)
                {
                    let number = |value: &i64| u64::try_from(*value).unwrap_or(0);
                    place.note = format!(
                        "{} events, {}",
                        crate::output::human::count(number(events)),
                        crate::output::human::bytes(number(bytes))
                    );
                }
            }
            Err(error) => place.problem = Some(error.to_string()),
        }
    }
    place.path = path;
    place
}

/// A file: can it be written, or made?
fn file_place(what: &'static str, path: &Path) -> Place {
    let problem = if path.exists() {
        std::fs::File::options().append(true).open(path).err().map(|error| error.to_string())
    } else {
        not_makeable(path.parent().unwrap_or(Path::new(".")))
    };
    let note = if path.exists() { "writable" } else { "will be made" };
    Place { what, path: path.to_owned(), problem, note: note.to_owned() }
}

fn directory_place(what: &'static str, path: &Path) -> Place {
    let note = if path.exists() { "writable" } else { "will be made" };
    Place { what, path: path.to_owned(), problem: not_makeable(path), note: note.to_owned() }
}

/// Why nothing can be made in this directory, which may have to be made itself.
fn not_makeable(directory: &Path) -> Option<String> {
    let existing = directory.ancestors().find(|path| path.as_os_str().is_empty() || path.exists())?;
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    if !existing.is_dir() {
        return Some(format!("{} is not a directory", existing.display()));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let flags = rustix::fs::AtFlags::EACCESS;
    let allowed = rustix::fs::accessat(rustix::fs::CWD, existing, access, flags);
    allowed
        .err()
        .map(|errno| format!("{}: {}", existing.display(), crate::output::human::errno(errno.raw_os_error())))
}
