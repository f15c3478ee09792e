//! Conditions that are never met, because nothing captures what they look for.

use collector_core::TriggerManager;

use super::{Condition, Finding, Triggers};

/// The conditions that are never met where only these kinds of events are `captured`, each with the reason. `is_measured`:
/// whether it is known what processes use.
pub(crate) fn unmet(
    triggers: &Triggers,
    manager: &TriggerManager,
    is_measured: bool,
    captured: impl Fn(&str) -> bool,
) -> Vec<String> {
    let reason = |condition: &Condition| {
        if condition.found == Some(Finding::HashMismatch) {
            return Some("no source of this agent hashes what processes run".to_owned());
        }
        if condition.usage_above.is_some() && !is_measured {
            return Some("nothing measures processes: add `performance` to capture.sources".to_owned());
        }
        let kinds = manager.kinds_of(&condition.id)?;
        if kinds.iter().any(|kind| captured(kind)) {
            return None;
        }
        let kinds: Vec<&str> = kinds.into_iter().collect();
        Some(match kinds.as_slice() {
            [] => "no event that is looked at can be like that".to_owned(),
            kinds => format!("{} is not captured", kinds.join(", ")),
        })
    };
    let told = |condition: &Condition| {
        Some(format!("triggers.conditions {:?} is never met: {}", condition.id, reason(condition)?))
    };
    triggers.conditions.iter().filter_map(told).collect()
}
