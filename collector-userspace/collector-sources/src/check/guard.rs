//! What follows from silence: programs are put back, then replaced, and taken up again when they can be heard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::expected::{Expected, expected, unprovable};
use super::marks::{Answers, Marks, Outcome, Scope};
use super::status::{Problem, SelfCheck, SilentProgram, UntriedProgram};
use super::switches;
use super::verdict::{Silence, State, conclude, instead_of, nanos, reporting, serves_otherwise};
use crate::features::Probed;
use crate::loader::{LoadError, wait_for_programs};
use crate::plan::{Limits, Plan, plan, rows};
use crate::session::{Session, lock};

/// How long a replacement stays at least; doubled each time that what it replaced did not last.
const SHORTEST_HOLD: Duration = Duration::from_secs(20);
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

/// How long a plan that was taken up again has to last for the next replacement to be short again.
const LASTING: Duration = Duration::from_secs(600);

/// Looks after the programs of a capture.
pub(crate) struct Guard {
    probed: Arc<Probed>,
    /// Kinds that are planned.
    wanted: u64,
    /// What plans have to put up with in any case.
    limits: Limits,
    marks: Marks,
    /// Where the canary may make a directory.
    directory: Option<PathBuf>,
    states: BTreeMap<&'static str, State>,
    /// Programs that plans do without because they were silent.
    replaced: BTreeMap<&'static str, Silence>,
    problems: BTreeMap<String, SystemTime>,
    /// When to try what was replaced again.
    retry: Option<Instant>,
    hold: Duration,
    restored: Option<Instant>,
    status: SelfCheck,
}

/// Why a plan was not taken up.
enum Refusal {
    /// Of its new programs these do not run.
    Silent(BTreeMap<&'static str, Silence>),
    /// The kernel does not take it, or there is nothing to do any more.
    Other(String),
}

impl Guard {
    /// `limits` are those of the plan that is at work.
    pub(crate) fn new(
        probed: Arc<Probed>,
        wanted: u64,
        limits: Limits,
        marks: Marks,
        directory: Option<PathBuf>,
    ) -> Self {
        Self {
            probed,
            wanted,
            limits,
            marks,
            directory,
            states: BTreeMap::new(),
            replaced: BTreeMap::new(),
            problems: BTreeMap::new(),
            retry: None,
            hold: SHORTEST_HOLD,
            restored: None,
            status: SelfCheck::default(),
        }
    }

    /// Tries everything, and does what follows from it.
    pub(crate) fn check_all(&mut self, session: &Session) {
        self.check(session, Scope::Everything);
    }

    /// Lets the canary sing, and does what follows from it.
    pub(super) fn check(&mut self, session: &Session, scope: Scope) {
        if !session.is_at_work() {
            return;
        }
        if let Err(error) = self.try_to_check(session, scope) {
            tracing::warn!(%error, "cannot check the kernel programs");
        }
        self.publish(session);
    }

    fn try_to_check(&mut self, session: &Session, scope: Scope) -> Result<(), LoadError> {
        let plan = session.plan();
        let is_new = self.look_at_switches(session, &plan);
        // A canary sings at once if something looks wrong.
        let scope = if is_new { Scope::Everything } else { scope };
        let before = self.silent(&plan);
        self.listen(&plan, scope)?;
        let silent = self.silent(&plan);
        let is_news = silent.iter().any(|program| !before.contains(program));
        if !is_news {
            self.restore(session)?;
        }
        if is_news || (scope == Scope::Everything && !silent.is_empty()) {
            let plan = session.plan();
            self.repair(session, &plan, &silent)?;
            let silent = self.silent(&plan);
            if !silent.is_empty() {
                self.replace(session, &plan, &silent)?;
            }
        }
        Ok(())
    }

    /// Returns whether something is wrong that was not before.
    fn look_at_switches(&mut self, session: &Session, plan: &Plan) -> bool {
        let now = SystemTime::now();
        let mut loaded = lock(&session.loaded);
        let found = switches::look(&mut loaded, plan, &mut self.marks, &mut self.status.repaired);
        drop(loaded);
        let is_new = |what: &&String| !self.problems.contains_key(*what);
        let news: Vec<&String> = found.iter().filter(is_new).collect();
        for what in &news {
            tracing::warn!(problem = what.as_str(), "the kernel programs were interfered with");
        }
        let is_new = !news.is_empty();
        self.problems.retain(|what, _| found.contains(what));
        for what in found {
            self.problems.entry(what).or_insert(now);
        }
        is_new
    }

    /// One round; what is silent is asked a second time, and with it all the rest.
    fn listen(&mut self, plan: &Plan, scope: Scope) -> Result<(), LoadError> {
        let expected = self.expected(plan);
        let mut answers = self.sing(&expected, scope)?;
        let is_silent = |answers: &Answers| answers.outcomes.values().any(|it| *it == Outcome::Silent);
        if is_silent(&answers) {
            let again = self.sing(&expected, Scope::Everything)?;
            for (expected, outcome) in again.outcomes {
                let first = answers.outcomes.insert(expected, outcome);
                // Heard once is heard: it runs.
                if first == Some(Outcome::Heard) {
                    answers.outcomes.insert(expected, Outcome::Heard);
                }
            }
        }
        self.note(&answers);
        for program in unprovable(plan, self.probed.features.arch.value) {
            let reason = "nothing that collector does would run it".to_owned();
            self.states.insert(program, State::Untried(reason));
        }
        self.states.retain(|program, _| plan.programs.iter().any(|it| it.name == *program));
        Ok(())
    }

    fn sing(&mut self, expected: &BTreeSet<Expected>, scope: Scope) -> Result<Answers, LoadError> {
        let answers = self.marks.sing(expected, scope, self.directory.as_deref())?;
        self.status.rounds += 1;
        self.status.cpu_ns += answers.cpu_ns;
        if scope == Scope::Everything {
            self.status.round_cpu_ns = answers.cpu_ns;
        }
        Ok(answers)
    }

    fn expected(&self, plan: &Plan) -> BTreeSet<Expected> {
        expected(plan, self.probed.features.arch.value)
    }

    /// Takes over what a round has shown.
    fn note(&mut self, answers: &Answers) {
        let now = SystemTime::now();
        let (mut silent, mut again) = (Vec::new(), Vec::new());
        for (program, state) in conclude(answers, now) {
            let state = match (self.states.get(program), state) {
                (Some(State::Silent(before)), State::Silent(silence)) => {
                    State::Silent(Silence { since: before.since, ran: before.ran, ..silence })
                }
                (before, State::Silent(silence)) => {
                    silent.push(format!("{program} ({})", silence.calls.join(", ")));
                    State::Silent(Silence { ran: matches!(before, Some(State::Heard)), ..silence })
                }
                // What it did not hear was not tried this time.
                (Some(State::Silent(before)), _) if !before.calls.iter().any(|call| answers.asked(call)) => {
                    continue;
                }
                (Some(State::Silent(_)), State::Heard) => {
                    again.push(program);
                    State::Heard
                }
                (_, state) => state,
            };
            self.states.insert(program, state);
        }
        if !silent.is_empty() {
            let programs = silent.join(", ");
            tracing::warn!(programs, "kernel programs are attached but do not run (tried by these calls)");
        }
        if !again.is_empty() {
            tracing::warn!(programs = again.join(", "), "kernel programs run again");
        }
    }

    /// Silent programs of the plan.
    fn silent(&self, plan: &Plan) -> BTreeSet<&'static str> {
        let planned = |name: &str| plan.programs.iter().any(|it| it.name == name);
        let silent = self.states.iter().filter(|(_, state)| matches!(state, State::Silent(_)));
        silent.map(|(program, _)| *program).filter(|name| planned(name)).collect()
    }

    /// Puts silent programs back in their places.
    fn repair(
        &mut self,
        session: &Session,
        plan: &Plan,
        silent: &BTreeSet<&'static str>,
    ) -> Result<(), LoadError> {
        let names: Vec<&str> = silent.iter().copied().collect();
        for attachments in [false, true] {
            if attachments && switches::functions_are_off() && switches::uses_functions(plan) {
                return Ok(());
            }
            lock(&session.loaded).reinstate(plan, &names, attachments);
            self.listen(plan, Scope::Everything)?;
            let left = self.silent(plan);
            if left.is_empty() {
                self.status.repaired += silent.len() as u64;
                tracing::warn!(programs = names.join(", "), "kernel programs were put back in their places");
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes over to a plan without the silent programs, where something else can serve.
    fn replace(
        &mut self,
        session: &Session,
        plan: &Plan,
        silent: &BTreeSet<&'static str>,
    ) -> Result<(), LoadError> {
        let all = std::iter::once(silent.clone());
        let each = silent.iter().map(|program| BTreeSet::from([*program]));
        for without in all.chain(each) {
            let known = |program: &&'static str| match self.states.get(program) {
                Some(State::Silent(silence)) => Some((*program, silence.clone())),
                _ => None,
            };
            let mut without: BTreeMap<_, _> = without.iter().filter_map(known).collect();
            without.extend(self.replaced.clone());
            // What is to serve instead may be silent as well.
            for _ in 0..rows().count() {
                let next = self.plan_without(without.keys().copied());
                if !serves_otherwise(plan, &next) {
                    break;
                }
                match self.switch(session, plan, &next)? {
                    Ok(()) => {
                        self.has_replaced(without);
                        return Ok(());
                    }
                    Err(Refusal::Silent(more)) => without.extend(more),
                    Err(Refusal::Other(reason)) => {
                        tracing::warn!(reason, "cannot replace silent kernel programs");
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn has_replaced(&mut self, without: BTreeMap<&'static str, Silence>) {
        let programs = without.keys().copied().collect::<Vec<_>>().join(", ");
        tracing::warn!(programs, "silent kernel programs were replaced by others");
        self.replaced = without;
        self.status.replaced += 1;
        let lasted = self.restored.is_none_or(|restored| restored.elapsed() >= LASTING);
        self.hold = if lasted { SHORTEST_HOLD } else { (self.hold * 2).min(LONGEST_HOLD) };
        self.retry = Some(Instant::now() + self.hold);
    }

    /// Tries what was replaced, when it is time for that, and takes up the best plan of which everything runs.
    fn restore(&mut self, session: &Session) -> Result<(), LoadError> {
        if self.retry.is_none_or(|retry| Instant::now() < retry) || switches::functions_are_off() {
            return Ok(());
        }
        let mut without: BTreeMap<&'static str, Silence> = BTreeMap::new();
        for _ in 0..rows().count() {
            let plan = session.plan();
            let next = self.plan_without(without.keys().copied());
            if next == plan {
                break;
            }
            match self.switch(session, &plan, &next)? {
                Ok(()) => {
                    self.replaced.retain(|program, _| without.contains_key(program));
                    self.status.restored += 1;
                    self.restored = Some(Instant::now());
                    tracing::warn!("kernel programs that were silent run again, and serve again");
                    break;
                }
                Err(Refusal::Silent(more)) => without.extend(more),
                Err(Refusal::Other(reason)) => {
                    tracing::warn!(reason, "cannot take up a better plan");
                    break;
                }
            }
        }
        if self.replaced.is_empty() {
            self.retry = None;
        } else {
            self.hold = (self.hold * 2).min(LONGEST_HOLD);
            self.retry = Some(Instant::now() + self.hold);
        }
        Ok(())
    }

    fn plan_without(&self, without: impl Iterator<Item = &'static str>) -> Plan {
        let mut limits = self.limits.clone();
        for program in without {
            limits.unusable.insert(program.to_owned(), "attached but does not run".to_owned());
        }
        plan(&self.probed.features, &self.probed.offsets, self.wanted, &limits)
    }

    /// Goes over from one plan to another, if every new program of that runs. The new ones are tried before they report, and
    /// for a moment both old and new do: a system call that is under way then is told twice rather than never.
    fn switch(
        &mut self,
        session: &Session,
        from: &Plan,
        to: &Plan,
    ) -> Result<Result<(), Refusal>, LoadError> {
        let new = reporting(to, from);
        let gone = reporting(from, to);
        let mut loaded = lock(&session.loaded);
        if !loaded.is_at_work() {
            return Ok(Err(Refusal::Other("the capture has ended".to_owned())));
        }
        self.marks.mute(&new)?;
        let refusal = match loaded.add(to) {
            Ok(()) => {
                let has = |name| from.programs.iter().any(|it| it.name == name);
                let mut expected = self.expected(to);
                expected.retain(|it| !has(it.program));
                let answers = self.sing(&expected, Scope::Everything)?;
                let silent: BTreeMap<_, _> = conclude(&answers, SystemTime::now())
                    .into_iter()
                    .filter_map(|(program, state)| match state {
                        State::Silent(silence) => Some((program, silence)),
                        State::Heard | State::Untried(_) => None,
                    })
                    .collect();
                (!silent.is_empty()).then_some(Refusal::Silent(silent))
            }
            Err(error) => Some(Refusal::Other(error.to_string())),
        };
        if let Some(refusal) = refusal {
            loaded.retire(from);
            self.marks.mute(&[])?;
            return Ok(Err(refusal));
        }
        self.marks.mute(&[])?;
        // Whatever found itself muted has ended by then.
        wait_for_programs();
        self.marks.mute(&gone)?;
        session.set_plan(to.clone());
        loaded.retire(to);
        self.marks.mute(&[])?;
        drop(loaded);
        self.listen(to, Scope::Everything)?;
        Ok(Ok(()))
    }

    fn publish(&mut self, session: &Session) {
        let plan = session.plan();
        let silent = |(program, silence): (&&'static str, &Silence), instead| SilentProgram {
            program: (*program).to_owned(),
            calls: silence.calls.iter().map(|call| (*call).to_owned()).collect(),
            since_ns: nanos(silence.since),
            ran: silence.ran,
            instead,
        };
        let replaced = self.replaced.iter().map(|it| silent(it, instead_of(it.0, &plan)));
        let silenced = self.states.iter().filter_map(|(program, state)| match state {
            State::Silent(silence) => Some(silent((program, silence), None)),
            State::Heard | State::Untried(_) => None,
        });
        self.status.silent = replaced.chain(silenced).collect();
        self.status.heard = self.states.values().filter(|it| matches!(it, State::Heard)).count() as u64;
        self.status.untried = self
            .states
            .iter()
            .filter_map(|(program, state)| match state {
                State::Untried(reason) => {
                    Some(UntriedProgram { program: (*program).to_owned(), reason: reason.clone() })
                }
                State::Heard | State::Silent(_) => None,
            })
            .collect();
        self.status.problems = self
            .problems
            .iter()
            .map(|(what, since)| Problem { what: what.clone(), since_ns: nanos(*since) })
            .collect();
        self.status.checked_ns = nanos(SystemTime::now());
        session.set_self_check(self.status.clone());
    }
}
