//! Causes of silence that can be read, and so are found before anything was missed.

use std::fs::read_to_string;

use super::marks::Marks;
use crate::loader::Loaded;
use crate::plan::{Place, Plan};

const FTRACE: &str = "/proc/sys/kernel/ftrace_enabled";

/// Whether the kernel has been told to leave functions alone: programs at functions do not run then, on kernels that let
/// them be switched off.
pub(super) fn functions_are_off() -> bool {
    // Kernels without the switch have no way to turn it off.
    read_to_string(FTRACE).is_ok_and(|text| text.trim() == "0")
}

/// Whether a plan has programs at functions.
pub(super) fn uses_functions(plan: &Plan) -> bool {
    plan.programs.iter().any(|program| program.place != Place::Tracepoint)
}

/// What is not as it was left, in words. What only needs to be written again is, and is counted in `repaired`.
pub(super) fn look(loaded: &mut Loaded, plan: &Plan, marks: &mut Marks, repaired: &mut u64) -> Vec<String> {
    let mut problems = Vec::new();
    if functions_are_off() && uses_functions(plan) {
        problems.push(format!("{FTRACE} is 0: programs at functions of the kernel may not run"));
    }
    for (program, what) in loaded.missing_links(plan) {
        problems.push(format!("program {program}: {what}"));
    }
    for (untouched, what) in [
        (loaded.keep_working(), "somebody else had told the programs to report nothing"),
        (marks.is_untouched(), "somebody else had written into the map that mutes programs"),
    ] {
        match untouched {
            Ok(true) => {}
            Ok(false) => {
                *repaired += 1;
                problems.push(format!("{what}: undone"));
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    problems
}
