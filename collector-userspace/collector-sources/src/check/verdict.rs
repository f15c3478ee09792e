//! What answers mean, and which plan can stand in for which: pure functions.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::expected::Expected;
use super::marks::{Answers, Outcome};
use crate::plan::{Attach, Outcome as Fate, Plan, rows};

/// What is known of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It runs.
    Heard,
    /// It is attached, and does not.
    Silent(Silence),
    /// It could not be tried, for this reason.
    Untried(String),
}

/// What a program did not hear, and when that was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) calls: Vec<&'static str>,
    pub(super) since: SystemTime,
    /// Whether it ran before.
    pub(super) ran: bool,
}

/// What answers say of each program: one call unheard is silence, and one heard is better than none.
pub(super) fn conclude(answers: &Answers, now: SystemTime) -> BTreeMap<&'static str, State> {
    let mut states: BTreeMap<&'static str, State> = BTreeMap::new();
    for (Expected { call, program, .. }, outcome) in &answers.outcomes {
        let known = states.get_mut(program);
        match (outcome, known) {
            (Outcome::Silent, Some(State::Silent(silence))) => silence.calls.push(call),
            (Outcome::Silent, _) => {
                states.insert(program, State::Silent(Silence { calls: vec![call], since: now, ran: false }));
            }
            (Outcome::Heard, None | Some(State::Untried(_))) => drop(states.insert(program, State::Heard)),
            (Outcome::Untried(errno), None) => {
                states.insert(program, State::Untried(format!("{call}: {errno}")));
            }
            (Outcome::Heard | Outcome::Untried(_), Some(_)) => {}
        }
    }
    states
}

/// Programs of one plan that the other does not have and that begin a report: stages only go on with one.
pub(super) fn reporting(of: &Plan, but: &Plan) -> Vec<&'static str> {
    let hooks = || rows().flat_map(|row| row.hooks);
    let is_stage =
        |name: &str| hooks().any(|hook| hook.program == name && matches!(hook.attach, Attach::Stage { .. }));
    let names = of.programs.iter().filter(|program| !but.programs.contains(program)).map(|it| it.name);
    names.filter(|name| !is_stage(name)).collect()
}

/// Whether `next` serves what `plan` does, and with other programs.
pub(super) fn serves_otherwise(plan: &Plan, next: &Plan) -> bool {
    plan.served() == next.served() && next.programs.iter().any(|program| !plan.programs.contains(program))
}

/// What serves the kinds of a program that was replaced.
pub(super) fn instead_of(program: &str, plan: &Plan) -> Option<String> {
    let its = |kind| {
        let of = rows().filter(|row| row.kinds.contains(&kind));
        of.flat_map(|row| row.hooks).any(|hook| hook.program == program)
    };
    let mut tiers: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for planned in plan.kinds.iter().filter(|planned| its(planned.kind)) {
        if let Fate::Served { tier, .. } = &planned.outcome {
            tiers.entry(*tier).or_default().push(planned.kind.name());
        }
    }
    let each: Vec<String> =
        tiers.iter().map(|(tier, kinds)| format!("tier {tier:?} for {}", kinds.join(", "))).collect();
    (!each.is_empty()).then(|| each.join("; "))
}

/// Nanoseconds since 1970.
pub(super) fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;
    use crate::plan::{KindPlan, Place, Program, Tier};
    use collector_common::Kind;

    fn answers(outcomes: &[(&'static str, &'static str, Outcome)]) -> Answers {
        let expected = |&(call, program, outcome)| {
            (Expected { call, program, if_it_succeeds: true, after: None }, outcome)
        };
        Answers { outcomes: outcomes.iter().map(expected).collect(), cpu_ns: 0 }
    }

    #[test]
    fn one_call_unheard_is_silence_and_one_heard_is_better_than_none() {
        let untried = Outcome::Untried(Errno::ROFS);
        let states = conclude(
            &answers(&[
                ("chmod", "a", Outcome::Heard),
                ("chown", "a", Outcome::Silent),
                ("link", "a", Outcome::Silent),
                ("chmod", "b", untried),
                ("chown", "b", Outcome::Heard),
                ("link", "b", untried),
                ("mkdir", "c", untried),
            ]),
            UNIX_EPOCH,
        );
        let silence = Silence { calls: vec!["chown", "link"], since: UNIX_EPOCH, ran: false };
        let reason = "mkdir: Read-only file system (os error 30)".to_owned();
        let expected = [("a", State::Silent(silence)), ("b", State::Heard), ("c", State::Untried(reason))];
        assert_eq!(states, BTreeMap::from(expected));
    }

    fn plan(programs: &[(&'static str, &'static str)], tier: Option<Tier>) -> Plan {
        let outcome = match tier {
            Some(tier) => Fate::Served { tier, rows: Vec::new(), without: Vec::new(), no_better: None },
            None => Fate::Unavailable { reason: String::new() },
        };
        let program = |&(name, at)| Program { name, place: Place::Tracepoint, at };
        Plan {
            kinds: vec![KindPlan { kind: Kind::FileRename, outcome }],
            programs: programs.iter().map(program).collect(),
            ..Plan::default()
        }
    }

    #[test]
    fn another_plan_must_serve_the_same_with_something_new() {
        let (a, b) = (("rename_done", "vfs_rename"), ("file_rename", "sys_exit"));
        let now = plan(&[a], Some(Tier::A));
        assert!(serves_otherwise(&now, &plan(&[b], Some(Tier::B))));
        assert!(!serves_otherwise(&now, &plan(&[b], None)), "it would serve less");
        assert!(!serves_otherwise(&now, &plan(&[], Some(Tier::A))), "it would only be without something");
        let stage = ("file_finish", "sys_exit");
        assert_eq!(reporting(&plan(&[a, b, stage], None), &now), ["file_rename"], "stages report for others");
    }

    #[test]
    fn what_serves_instead_is_what_serves_the_same_kinds() {
        let told = |program, tier| instead_of(program, &plan(&[], tier));
        assert_eq!(told("rename_done", Some(Tier::B)).as_deref(), Some("tier B for file.rename"));
        assert_eq!(told("rename_done", None), None);
        assert_eq!(told("net_state", Some(Tier::B)), None, "it served something else");
    }
}
