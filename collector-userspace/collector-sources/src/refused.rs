//! Programs that the kernel refuses: what a user is told of them.

use std::collections::BTreeMap;
use std::fmt;

use crate::plan::{self, Limits, Outcome, Plan, Tier};

/// Lines about refusals; of many different reasons the others are counted.
const MAX_LINES: usize = 5;

/// Warns of programs that are not usable, a line for each reason.
pub(crate) fn warn(plan: &Plan, limits: &Limits) {
    let groups = groups(plan, &limits.unusable);
    for group in groups.iter().take(MAX_LINES) {
        tracing::warn!("{group}");
    }
    let more: usize = groups.iter().skip(MAX_LINES).map(|group| group.programs.len()).sum();
    if more > 0 {
        tracing::warn!(
            "{more} more programs cannot be used, for other reasons: `collector doctor` lists them"
        );
    }
}

/// Programs that cannot be used for the same reason.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    reason: String,
    programs: Vec<String>,
    /// What they would have served.
    misses: Vec<&'static str>,
    /// Whether other programs serve all of that, in a lower tier.
    replaced: bool,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, programs, misses, replaced } = self;
        let [word, it] = if programs.len() == 1 { ["program", "it"] } else { ["programs", "them"] };
        write!(f, "{word} {} cannot be used: {reason}; ", programs.join(", "))?;
        let misses = misses.join(", ");
        if *replaced {
            write!(f, "others in a lower tier do their work ({misses})")
        } else {
            write!(f, "without {it} is missed: {misses}")
        }
    }
}

fn groups(plan: &Plan, unusable: &BTreeMap<String, String>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (program, reason) in unusable {
        let rows = || plan::rows().filter(|row| row.hooks.iter().any(|hook| hook.program == program));
        let group = match groups.iter_mut().position(|group| group.reason == *reason) {
            Some(at) => groups.get_mut(at),
            None => {
                let (programs, misses) = (Vec::new(), Vec::new());
                groups.push(Group { reason: reason.clone(), programs, misses, replaced: true });
                groups.last_mut()
            }
        };
        let Some(group) = group else { continue };
        group.programs.push(program.clone());
        for row in rows() {
            if !group.misses.contains(&row.why) {
                group.misses.push(row.why);
            }
            group.replaced &= row.kinds.iter().all(|kind| is_replaced(plan, row, *kind));
        }
    }
    groups
}

/// Whether a kind that a row cannot serve is served without a lack, by rows of a lower tier.
fn is_replaced(plan: &Plan, row: &plan::Row, kind: collector_common::Kind) -> bool {
    let planned = plan.kinds.iter().find(|planned| planned.kind == kind);
    match planned.map(|planned| &planned.outcome) {
        Some(Outcome::Served { tier, without, .. }) => {
            let lower = row.tiers.iter().all(|of: &Tier| of < tier);
            lower && without.iter().all(|lack| lack.row != row.name)
        }
        Some(Outcome::Unavailable { .. }) => false,
        // Nobody asked for it.
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use collector_common::Kind;

    use super::*;
    use crate::plan::KindPlan;

    fn served(kind: Kind, tier: Tier) -> KindPlan {
        let outcome = Outcome::Served { tier, rows: Vec::new(), without: Vec::new(), no_better: None };
        KindPlan { kind, outcome }
    }

    fn check(kinds: Vec<KindPlan>, unusable: &[(&str, &str)]) -> Vec<String> {
        let plan = Plan { kinds, ..Plan::default() };
        let unusable =
            unusable.iter().map(|(program, why)| ((*program).to_owned(), (*why).to_owned())).collect();
        groups(&plan, &unusable).iter().map(Group::to_string).collect()
    }

    #[test]
    fn one_reason_is_one_line() {
        let lines = check(
            vec![served(Kind::FileDelete, Tier::B), served(Kind::FileRename, Tier::B)],
            &[("unlink_begins", "no"), ("unlink_done", "no"), ("rename_done", "no")],
        );
        assert_eq!(
            lines,
            [
                "programs rename_done, unlink_begins, unlink_done cannot be used: no; others in a lower tier do their work \
              (names changed, names removed)"
            ]
        );
    }

    #[test]
    fn what_nothing_else_serves_is_missed() {
        let unavailable =
            KindPlan { kind: Kind::NetworkListen, outcome: Outcome::Unavailable { reason: "no".to_owned() } };
        let lines = check(
            vec![unavailable, served(Kind::FileDelete, Tier::B)],
            &[("net_listen", "it is Monday"), ("unlink_done", "no")],
        );
        assert_eq!(
            lines,
            [
                "program net_listen cannot be used: it is Monday; without it is missed: sockets that begin to listen",
                "program unlink_done cannot be used: no; others in a lower tier do their work (names removed)",
            ]
        );
    }

    #[test]
    fn an_optional_program_of_the_tier_is_missed() {
        let lines = check(vec![served(Kind::FileModify, Tier::A)], &[("call_splice", "no")]);
        assert!(lines[0].contains("without it is missed: files written from several"), "{lines:?}");
    }
}
