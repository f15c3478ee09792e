//! Finding out: facts of the kernel, of this process and of the places the agent uses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use collector_sources::SelfCheck;
use collector_sources::features::{
    CAPABILITIES, Capabilities, Capability, Fact, Features, memory_is_limited, probe,
};
use collector_sources::object::Object;
use serde::Serialize;

use super::trial;
use crate::capture::PlannedKind;
use crate::config::{Config, Loaded, Mode, Source};
use crate::instance::Instance;
use crate::paths::{Paths, not_makeable};
use crate::polling;
use crate::privileges::{
    self, AsRoot, DEFAULT_USER, Directory, PrivilegeError, Prospect, Role, Standing, parent,
};
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
    pub(super) runs_as: RunsAs,
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

/// Whom `run` runs as when whoever asks starts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct RunsAs {
    pub(super) user: String,
    /// Unknown where there is no such user.
    pub(super) uid: Option<u32>,
    /// What there is to say about it.
    pub(super) note: Option<String>,
}

/// A capability: what it is for, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Privilege {
    pub(super) name: &'static str,
    pub(super) has: bool,
    /// Whether the agent has a use for it on this kernel.
    pub(super) needed: bool,
    /// What it is needed for.
    pub(super) purpose: &'static str,
    /// What the agent does without it.
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
    /// Whether its kernel programs run.
    pub(super) self_check: SelfCheck,
}

impl Diagnosis {
    /// Whether something is missing that does not stop the main job.
    pub(super) fn is_degraded(&self) -> bool {
        let lost = self
            .agent
            .as_ref()
            .is_some_and(|agent| agent.lost_in_kernel + agent.lost_later > 0 || !agent.trouble.is_empty());
        lost || self.kinds.iter().any(|kind| !kind.lacks.is_empty())
            || self.privileges.iter().any(|privilege| privilege.needed && !privilege.has)
            || self.places.iter().any(|place| place.problem.is_some())
    }
}

/// Looks at everything.
pub(super) fn diagnose(paths: &Paths, loaded: &Loaded, runtime_dirs: &[PathBuf]) -> Diagnosis {
    let config = &loaded.config;
    let probed = probe();
    let mut kinds = trial::kinds(&config.capture, &probed);
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
    let role = privileges::decide(config.agent.run_as.as_deref());
    let runs_as = runs_as(config.agent.run_as.as_deref(), &role);
    if let Err(error) = &role {
        obstacles.push(Obstacle {
            problem: error.to_string(),
            remedy: "make that user, or name another one with agent.run_as or --run-as".to_owned(),
        });
    }
    let places = places(paths, config, runtime_dirs, role.as_ref().ok());
    let can_start = role.is_ok();
    let can_capture = can_start && (can_sample || (has_programs && kinds.iter().any(|kind| kind.captured)));
    kinds.extend(samples);
    Diagnosis {
        can_capture,
        polls_instead: can_start
            && !can_capture
            && config.capture.mode != Mode::Kernel
            && polling::plan(&config.capture.sources).iter().any(|kind| kind.captured),
        obstacles,
        kinds,
        object,
        runs_as,
        privileges: privileges(capabilities, memory_is_limited(probed.features.kernel.value)),
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

/// Which of the capabilities that the agent has a use for there are.
pub(super) fn privileges(has: Option<Capabilities>, memory_is_limited: bool) -> Vec<Privilege> {
    let Some(has) = has else { return Vec::new() };
    let privilege = |capability: &Capability| Privilege {
        name: capability.name,
        has: has.has(capability),
        needed: capability.is_needed(memory_is_limited),
        purpose: capability.purpose,
        without: capability.without,
    };
    CAPABILITIES.iter().map(privilege).collect()
}

/// Whom `run` runs as.
fn runs_as(wanted: Option<&str>, role: &Result<Role, PrivilegeError>) -> RunsAs {
    match role {
        Ok(Role::Become(account)) => RunsAs {
            user: account.name.clone().unwrap_or_else(|| account.uid.to_string()),
            uid: Some(account.uid),
            note: Some("root gives way to this user, who keeps the capabilities below".to_owned()),
        },
        Ok(role @ Role::Stay { as_root }) => {
            let Standing { user, uid, .. } = Standing::of_this_process(role);
            let note = as_root.as_ref().map(|why| match why {
                AsRoot::NoUser => format!("{why}; make one with `useradd --system {DEFAULT_USER}`"),
                AsRoot::Told | AsRoot::Lacking(_) => why.to_string(),
            });
            RunsAs { user, uid: Some(uid), note }
        }
        Err(_) => RunsAs { user: wanted.unwrap_or_default().to_owned(), uid: None, note: None },
    }
}

/// Where the agent writes.
fn places(paths: &Paths, config: &Config, runtime_dirs: &[PathBuf], role: Option<&Role>) -> Vec<Place> {
    let mut places = Vec::new();
    // For a user who is not the one who asks, the permissions have to tell.
    let for_user = |mut place: Place, directory: Directory| {
        if let Some(Role::Become(account)) = role {
            match directory.prospect(account) {
                Prospect::Nothing(problem) => place.problem = Some(format!("as {account}: {problem}")),
                Prospect::IsHandedOver => place.note = format!("{}, and will be {account}'s", place.note),
                Prospect::Writes | Prospect::IsMade => {}
            }
        }
        place
    };
    if config.store.enabled {
        let database = config.store.path.clone().unwrap_or_else(|| paths.database());
        let directory = Directory::of_database(&database);
        places.push(for_user(database_place(database), directory));
    }
    if let Some(path) = &config.output.path {
        places.push(file_place("output", path));
    }
    if let Some(path) = runtime_dirs.first() {
        places.push(for_user(directory_place("runtime directory", path), Directory::of_runtime(path)));
    }
    places
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
    let age = |since_ns| Duration::from_nanos(status::now_ns().saturating_sub(since_ns));
    trouble.extend(status.self_check.troubles().into_iter().map(|trouble| {
        format!("{} (for {})", trouble.what, crate::output::human::duration(age(trouble.since_ns)))
    }));
    Some(Agent { pid, lost_in_kernel, lost_later, trouble, self_check: status.self_check })
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
        not_makeable(parent(path))
    };
    let note = if path.exists() { "writable" } else { "will be made" };
    Place { what, path: path.to_owned(), problem, note: note.to_owned() }
}

fn directory_place(what: &'static str, path: &Path) -> Place {
    let note = if path.exists() { "writable" } else { "will be made" };
    Place { what, path: path.to_owned(), problem: not_makeable(path), note: note.to_owned() }
}
