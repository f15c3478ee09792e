//! Which hooks serve which events on this kernel: a pure function over a static table.
//!
//! The table ([`rows`]) has rows, each a group of programs that serves some kinds in one tier. For every wanted
//! kind the plan takes the highest tier whose mandatory rows all work here, adds the optional ones that do,
//! and writes down what does not and why. Programs, tail-call entries and attachments follow from the rows
//! chosen, so that nothing is attached that no wanted kind needs.

mod build;
mod table;
mod taken;
#[cfg(test)]
mod tests;
mod trampolines;

use std::collections::BTreeMap;

use collector_common::Kind;
use serde::{Serialize, Serializer};

use crate::features::{BtfState, Capabilities, Features, KernelVersion, Support, Trampolines};
use crate::object::Object;
use crate::offsets::{self, Field, Resolved};

pub use table::{functions, rows};
pub use taken::{mismatch, taken, tracepoints};

/// Kinds without which nobody knows who acted, and whose programs keep the pid filter's set of descendants: to be wanted in
/// addition, always. Their records are sent only where [`Settings::kinds`](collector_common::Settings::kinds) says so.
pub const IDENTITY: u64 = Kind::ProcessExec.bit() | Kind::ProcessFork.bit() | Kind::ProcessExit.bit();

/// How well a kernel serves, best first: the order of fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Tier {
    /// At the kernel's own functions: every way into an operation leads there, and no other process's memory is read.
    A,
    /// At tracepoints; operations that have none are seen as system calls, read from kernel objects where there are any.
    B,
    /// No BPF at all.
    C,
}

impl Tier {
    /// Tiers with rows to look for, best first.
    const WITH_ROWS: [Self; 2] = [Self::A, Self::B];
}

/// What sort of place in the kernel a program sits at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A tracepoint, with typed arguments (`tp_btf`).
    Tracepoint,
    /// The entry of a function (`fentry`).
    Entry,
    /// The return from a function, with its arguments and its result (`fexit`).
    Return,
}

/// What the plan has to put up with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Only this tier, instead of the best there is.
    pub tier: Option<Tier>,
    /// Programs not to use, and why: the kernel refused them, or they do not run although they are attached.
    pub unusable: BTreeMap<String, String>,
}

/// How a program comes to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// Attached to its place.
    Directly,
    /// Attached to its place if there is one: a system call that not every kernel and architecture has.
    IfThere,
    /// Called by the dispatcher on `sys_enter` for these system calls.
    EnterCall(&'static [&'static str]),
    /// Called by the dispatcher on `sys_exit` for these system calls.
    ExitCall(&'static [&'static str]),
    /// Called by another program through this slot of this map.
    Stage {
        /// Name of the map.
        map: &'static str,
        /// Index in it.
        slot: u32,
    },
}

/// A program of the object and how it comes to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Name of the program, at most 15 bytes.
    pub program: &'static str,
    /// What sort of place it is loaded for.
    pub place: Place,
    /// Name of the tracepoint or function; of several, the first that the kernel has.
    pub at: &'static [&'static str],
    /// How it comes to run.
    pub attach: Attach,
}

/// What the programs of a row take from the kernel beyond tracepoints and offsets. Those of [`Object::Before512`] do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Atomic additions that return the old value.
    FetchAtomics,
    /// `bpf_get_current_task_btf`.
    CurrentTask,
}

/// A group of programs that works as a whole or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Short name, for people.
    pub name: &'static str,
    /// Kinds it serves.
    pub kinds: &'static [Kind],
    /// Whether the kinds cannot be served in this tier without it.
    pub mandatory: bool,
    /// Tiers it belongs to.
    pub tiers: &'static [Tier],
    /// The row it stands in for where that one does not work; where it does, this one is not used.
    pub instead_of: Option<&'static str>,
    /// Oldest kernel it was made for.
    pub min_kernel: KernelVersion,
    /// Its programs, in order of attachment.
    pub hooks: &'static [Hook],
    /// Offsets its programs read without asking.
    pub offsets: &'static [&'static [Field]],
    /// What else its programs take.
    pub needs: &'static [Need],
    /// What it is for: said of kinds that have to do without it.
    pub why: &'static str,
}

/// How a kind fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// Captured.
    Served {
        /// In this tier.
        tier: Tier,
        /// By these rows.
        rows: Vec<&'static str>,
        /// Except for this.
        without: Vec<Lack>,
        /// Why not in a better tier, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        no_better: Option<String>,
    },
    /// Not captured.
    Unavailable {
        /// Why not.
        reason: String,
    },
}

/// An optional row that does not work here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lack {
    /// Its name.
    pub row: &'static str,
    /// What is missed without it.
    pub misses: &'static str,
    /// Why it does not work.
    pub reason: String,
}

/// A wanted kind and how it fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindPlan {
    /// The kind.
    #[serde(serialize_with = "kind_name")]
    pub kind: Kind,
    /// How it fares.
    #[serde(flatten)]
    pub outcome: Outcome,
}

fn kind_name<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

/// A program to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// What sort of place to load it for.
    pub place: Place,
    /// Name of the tracepoint or function.
    pub at: &'static str,
}

/// An entry of a program array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TableEntry {
    /// Name of the map.
    pub map: &'static str,
    /// Index: a slot, or a system call number.
    pub index: u32,
    /// Name of the program.
    pub program: &'static str,
}

/// What to do on this kernel for the wanted kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The object to take the programs from.
    pub object: Object,
    /// Every wanted kind, in order of number.
    pub kinds: Vec<KindPlan>,
    /// Programs to load.
    pub programs: Vec<Program>,
    /// Entries to fill before anything is attached.
    pub table: Vec<TableEntry>,
    /// Programs to attach to their places, in this order.
    pub attach: Vec<Program>,
}

impl Plan {
    /// Bits of the kinds that are captured.
    #[must_use]
    pub fn served(&self) -> u64 {
        let served = |plan: &&KindPlan| matches!(plan.outcome, Outcome::Served { .. });
        self.kinds.iter().filter(served).fold(0, |mask, plan| mask | plan.kind.bit())
    }

    /// Says of what is captured what is not known about who did it, where process events are wanted in vain.
    fn lack_identity(&mut self) {
        let missed = |kind| match kind {
            Kind::ProcessExec => Some("executables and command lines of programs started meanwhile"),
            Kind::ProcessFork => {
                Some("parents of new processes, and descendants where a filter is for some processes")
            }
            // Processes that have ended are forgotten a little later.
            _ => None,
        };
        let lacks: Vec<Lack> = self
            .kinds
            .iter()
            .filter_map(|planned| match &planned.outcome {
                Outcome::Unavailable { reason } => Some(Lack {
                    row: planned.kind.name(),
                    misses: missed(planned.kind)?,
                    reason: reason.clone(),
                }),
                Outcome::Served { .. } => None,
            })
            .collect();
        for planned in &mut self.kinds {
            if let Outcome::Served { without, .. } = &mut planned.outcome {
                without.extend(lacks.iter().cloned());
            }
        }
    }
}

/// Kinds that are served in the same tier, because some of their programs serve several of them: those of two tiers side
/// by side would report the same twice.
const TOGETHER: [&[Kind]; 2] = [
    &[Kind::FileCreate, Kind::FileOpen, Kind::FileModify, Kind::FileAttributes],
    &[Kind::NetworkConnect, Kind::NetworkAccept, Kind::NetworkClose],
];

/// Plans the capture of the kinds in the mask `wanted` (see [`Kind::bit`]); unknown bits are ignored.
#[must_use]
pub fn plan(features: &Features, offsets: &Resolved, wanted: u64, limits: &Limits) -> Plan {
    // Asked once per row; most rows are shared by several kinds.
    let rows: Vec<(&Row, Option<String>)> =
        rows().map(|row| (row, obstacle(row, features, offsets, limits))).collect();
    let mut plan = Plan { object: Object::for_kernel(features).value, ..Plan::default() };
    let mut chosen = vec![false; rows.len()];
    for &kind in Kind::ALL.iter().filter(|kind| wanted & kind.bit() != 0) {
        let (outcome, used) = serve(kind, wanted, &rows, limits);
        for (chosen, used) in chosen.iter_mut().zip(used) {
            *chosen |= used;
        }
        plan.kinds.push(KindPlan { kind, outcome });
    }
    plan.lack_identity();
    // In order of the table, which is that of attachment.
    for ((row, _), _) in rows.iter().zip(chosen).filter(|(_, chosen)| *chosen) {
        for hook in row.hooks {
            plan.add(hook, features);
        }
    }
    plan.add_dispatchers();
    plan
}

/// Chooses the rows for a kind: how it fares, and which rows of `rows` it uses.
fn serve(kind: Kind, wanted: u64, rows: &[(&Row, Option<String>)], limits: &Limits) -> (Outcome, Vec<bool>) {
    let mut reasons: Vec<String> = Vec::new();
    for tier in Tier::WITH_ROWS {
        if limits.tier.is_some_and(|only| only != tier) {
            continue;
        }
        match obstacle_of_tier(kind, wanted, tier, rows) {
            None => {}
            Some(None) => continue,
            Some(Some(reason)) => {
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
                continue;
            }
        }
        let ours = |row: &Row| row.tiers.contains(&tier) && row.kinds.contains(&kind);
        let works = |name: &str| rows.iter().any(|(row, obstacle)| row.name == name && obstacle.is_none());
        let substitute = |of: &str| {
            rows.iter().find(|(row, obstacle)| ours(row) && row.instead_of == Some(of) && obstacle.is_none())
        };
        let is_used = |(row, obstacle): &(&Row, Option<String>)| {
            ours(row) && obstacle.is_none() && !row.instead_of.is_some_and(works)
        };
        let used: Vec<bool> = rows.iter().map(is_used).collect();
        let names = rows.iter().zip(&used).filter(|(_, used)| **used).map(|((row, _), _)| row.name).collect();
        let without = rows
            .iter()
            .filter(|(row, _)| ours(row) && row.instead_of.is_none() && substitute(row.name).is_none())
            .filter_map(|(row, obstacle)| {
                let reason = obstacle.clone()?;
                Some(Lack { row: row.name, misses: row.why, reason })
            })
            .collect();
        let no_better = (!reasons.is_empty()).then(|| reasons.join("; "));
        return (Outcome::Served { tier, rows: names, without, no_better }, used);
    }
    if reasons.is_empty() {
        reasons.push(format!("no program serves {}", kind.name()));
    }
    // What keeps even the last resort from working comes first.
    reasons.reverse();
    (Outcome::Unavailable { reason: reasons.join("; ") }, vec![false; rows.len()])
}

/// What keeps a tier from serving a kind, and those that have to be served in the same one. `Some(None)`: it has no
/// rows for it.
fn obstacle_of_tier(
    kind: Kind,
    wanted: u64,
    tier: Tier,
    rows: &[(&Row, Option<String>)],
) -> Option<Option<String>> {
    let alone: &[Kind] = &[kind];
    // In the last resort there is nothing left that the others could be in.
    let together = || TOGETHER.into_iter().find(|group| group.contains(&kind));
    let group = if tier == Tier::B { alone } else { together().unwrap_or(alone) };
    for kind in group.iter().filter(|of| **of == kind || wanted & of.bit() != 0) {
        let needed = |row: &Row| row.mandatory && row.tiers.contains(&tier) && row.kinds.contains(kind);
        let mut mandatory = rows.iter().filter(|(row, _)| needed(row)).peekable();
        if mandatory.peek().is_none() {
            return Some(None);
        }
        if let Some(reason) = mandatory.find_map(|(_, obstacle)| obstacle.clone()) {
            return Some(Some(reason));
        }
    }
    None
}

/// What keeps a row from working on this kernel; the most general obstacle first.
fn obstacle(row: &Row, features: &Features, offsets: &Resolved, limits: &Limits) -> Option<String> {
    if features.arch.value.is_none() {
        return Some(format!("architecture not supported ({})", features.arch.evidence));
    }
    if let Some(version) = features.kernel.value
        && version < row.min_kernel
    {
        return Some(format!("kernel {version} is older than {}", row.min_kernel));
    }
    match &features.btf.value {
        BtfState::Readable { .. } => {}
        BtfState::Absent => return Some("this kernel has no BTF".to_owned()),
        BtfState::Unreadable { errno } => {
            let error = std::io::Error::from_raw_os_error(*errno);
            return Some(format!("this kernel's BTF cannot be read: {error}"));
        }
        BtfState::Invalid { reason } => return Some(format!("this kernel's BTF is invalid: {reason}")),
    }
    let needed = [("tp_btf programs", &features.tp_btf.value), ("ring buffers", &features.ring_buffer.value)];
    let needs = row.needs.iter().map(|need| match need {
        Need::FetchAtomics => ("fetching atomics", &features.fetch_atomics.value),
        Need::CurrentTask => ("bpf_get_current_task_btf", &features.current_task.value),
    });
    let needs = needs.filter(|_| Object::for_kernel(features).value == Object::Recent);
    if let Some((what, support)) =
        needed.into_iter().chain(needs).find(|(_, support)| !support.is_supported())
    {
        return Some(refusal(what, support, features));
    }
    if let Some(reason) = row.hooks.iter().find_map(|hook| missing_place(hook, features)) {
        return Some(reason);
    }
    let fields = || row.offsets.iter().copied().flatten();
    if let Some(field) = fields().find(|&&field| offsets.value(field).is_none()) {
        return Some(format!("this kernel has no {}", field.path()));
    }
    let about = |assumption: &&offsets::Assumption| {
        assumption.fields.iter().all(|field| fields().any(|f| f == field))
    };
    if let Some(wrong) =
        offsets::ASSUMPTIONS.iter().filter(about).find(|assumption| !assumption.holds(offsets))
    {
        return Some(format!("not so on this kernel: {}", wrong.what));
    }
    // Last: why a program cannot be used is of interest only where everything else is as it should be.
    row.hooks.iter().find_map(|hook| {
        let reason = limits.unusable.get(hook.program)?;
        Some(format!("{PROGRAM}{}: {reason}", hook.program))
    })
}

/// What a reason begins with that is about a program.
const PROGRAM: &str = "program ";

/// The program that a reason is about, if it is about one, and the rest: the same for all programs that suffer from the same.
#[must_use]
pub fn program_and_cause(reason: &str) -> (Option<&str>, &str) {
    match reason.strip_prefix(PROGRAM).and_then(|rest| rest.split_once(": ")) {
        Some((program, cause)) => (Some(program), cause),
        None => (None, reason),
    }
}

/// Why there is no place for a hook.
fn missing_place(hook: &Hook, features: &Features) -> Option<String> {
    if hook.place == Place::Tracepoint {
        let tracepoint = hook.at.first()?;
        return match features.tracepoints.get(*tracepoint) {
            None => Some(format!("this kernel has no tracepoint {tracepoint}")),
            Some(found) => mismatch(&found.prototype),
        };
    }
    if Object::for_kernel(features).value == Object::Before512 {
        // They read through a helper, which takes more stack than two calls have there; and where such a kernel is made for
        // real time, numbers need more than that no interrupt comes between.
        return Some("kernels before 5.12 get programs at tracepoints only".to_owned());
    }
    match features.trampolines() {
        Trampolines::Available => {}
        Trampolines::Forbidden => {
            return Some(
                "this kernel refuses programs on its functions (fentry), though not on tracepoints"
                    .to_owned(),
            );
        }
        Trampolines::Unsupported => {
            return Some(format!("programs on kernel functions (fentry) {}", features.fentry.value));
        }
        Trampolines::Unknown => {
            return Some(refusal("programs on kernel functions (fentry)", &features.fentry.value, features));
        }
    }
    match hook.function(features) {
        Some(name) => mismatch(&features.functions.get(name)?.prototype),
        None if hook.attach == Attach::IfThere => None,
        None => Some(format!("this kernel has no function {}", hook.at.join(" or "))),
    }
}

impl Hook {
    /// The function of this kernel that the hook is for.
    fn function(&self, features: &Features) -> Option<&'static str> {
        self.at.iter().copied().find(|name| features.functions.contains_key(*name))
    }

    /// The program for this kernel; `None` if it has no place for it.
    fn program(&self, features: &Features) -> Option<Program> {
        let at = match self.place {
            Place::Tracepoint => *self.at.first()?,
            Place::Entry | Place::Return => self.function(features)?,
        };
        Some(Program { name: self.program, place: self.place, at })
    }
}

/// Says that something is refused, and what may be done about it.
fn refusal(what: &str, support: &Support, features: &Features) -> String {
    let missing = features.capabilities.value.map(Capabilities::missing_for_tracing).unwrap_or_default();
    match support {
        Support::Refused { errno } if *errno == libc::EPERM && !missing.is_empty() => {
            format!("{what} {support}; missing capabilities: {}", missing.join(", "))
        }
        _ => format!("{what} {support}"),
    }
}
