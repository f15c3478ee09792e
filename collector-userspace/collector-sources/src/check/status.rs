//! What the self-check has found, for `status`, `stats`, `doctor` and metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Programs that a sentence names.
const NAMED: usize = 3;

/// The state of the kernel programs as they proved it. Times are nanoseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SelfCheck {
    /// Rounds so far; 0: nothing was checked.
    pub rounds: u64,
    /// When the last one ended.
    pub checked_ns: u64,
    /// Processor time of all rounds, in nanoseconds.
    pub cpu_ns: u64,
    /// The same of the last round that tried everything.
    pub round_cpu_ns: u64,
    /// Programs that ran when they had to.
    pub heard: u64,
    /// Programs that did not, those that were replaced included.
    pub silent: Vec<SilentProgram>,
    /// Programs that could not be made to run, so that nothing is known of them.
    pub untried: Vec<UntriedProgram>,
    /// Switches that blind programs, and what else is not as it was left.
    pub problems: Vec<Problem>,
    /// Programs that were silent until they were put back in their places, and times that a word which silences programs was
    /// somebody else's and was written again.
    pub repaired: u64,
    /// Times that the plan was changed because of silent programs.
    pub replaced: u64,
    /// Times that a better plan was taken up again.
    pub restored: u64,
}

/// A program that is attached, or was, and does not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SilentProgram {
    /// Its name.
    pub program: String,
    /// Calls that it did not hear.
    pub calls: Vec<String>,
    /// When that was noticed.
    pub since_ns: u64,
    /// Whether it had run before. Otherwise it has no place in this kernel that is ever passed.
    pub ran: bool,
    /// What serves instead; absent if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// A program of which nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UntriedProgram {
    /// Its name.
    pub program: String,
    /// Why it could not be made to run.
    pub reason: String,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// What.
    pub what: String,
    /// When it was noticed.
    pub since_ns: u64,
}

impl SelfCheck {
    /// What is wrong, a sentence each. Programs that the same serves instead of are in one.
    #[must_use]
    pub fn troubles(&self) -> Vec<Problem> {
        let silent = self.sentences(|program| program.ran || program.instead.is_none());
        self.problems.iter().cloned().chain(silent).collect()
    }

    /// What is not wrong, but not as planned: programs that never ran in this kernel, and what serves instead.
    #[must_use]
    pub fn remarks(&self) -> Vec<Problem> {
        self.sentences(|program| !program.ran && program.instead.is_some())
    }

    fn sentences(&self, is_wanted: impl Fn(&SilentProgram) -> bool) -> Vec<Problem> {
        let mut silent: BTreeMap<Option<&str>, Vec<&SilentProgram>> = BTreeMap::new();
        for program in self.silent.iter().filter(|program| is_wanted(program)) {
            silent.entry(program.instead.as_deref()).or_default().push(program);
        }
        let silent = silent.into_iter().map(|(instead, programs)| Problem {
            what: format!("{}; instead: {}", do_not_run(&programs), instead.unwrap_or("nothing")),
            since_ns: programs.iter().map(|it| it.since_ns).min().unwrap_or(0),
        });
        silent.collect()
    }
}

fn do_not_run(programs: &[&SilentProgram]) -> String {
    let named = programs.iter().take(NAMED).map(|it| match &it.calls[..] {
        [] => it.program.clone(),
        calls => format!("{} (tried: {})", it.program, calls.join(", ")),
    });
    let names = named.collect::<Vec<_>>().join(", ");
    let count = programs.len();
    let verb = if count == 1 { "program does" } else { "programs do" };
    match count.saturating_sub(NAMED) {
        0 => format!("{count} kernel {verb} not run: {names}"),
        more => format!("{count} kernel {verb} not run: {names} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(program: &str, calls: &[&str], instead: Option<&str>) -> SilentProgram {
        SilentProgram {
            program: program.to_owned(),
            calls: calls.iter().map(|call| (*call).to_owned()).collect(),
            instead: instead.map(str::to_owned),
            since_ns: 0,
            ran: true,
        }
    }

    #[test]
    fn troubles_are_told_once_for_programs_that_share_them() {
        let mut check = SelfCheck {
            problems: vec![Problem { what: "a switch is off".to_owned(), since_ns: 0 }],
            silent: vec![silent("file_mkdir", &["mkdir"], None)],
            ..SelfCheck::default()
        };
        for program in ["a", "b", "c", "d", "e"] {
            check.silent.push(silent(program, &["openat", "open"], Some("tier B for file.open")));
        }
        let told: Vec<String> = check.troubles().into_iter().map(|trouble| trouble.what).collect();
        assert_eq!(
            told,
            [
                "a switch is off",
                "1 kernel program does not run: file_mkdir (tried: mkdir); instead: nothing",
                "5 kernel programs do not run: a (tried: openat, open), b (tried: openat, open), c (tried: openat, open) \
             and 2 more; instead: tier B for file.open",
            ]
        );
        assert_eq!(SelfCheck::default().troubles(), []);
    }

    #[test]
    fn what_never_ran_and_is_served_otherwise_is_no_trouble() {
        let never = SilentProgram { ran: false, ..silent("rmdir_done", &["rmdir"], Some("tier B")) };
        let check = SelfCheck { silent: vec![never.clone()], ..SelfCheck::default() };
        assert_eq!((check.troubles().len(), check.remarks().len()), (0, 1));
        let check = SelfCheck { silent: vec![SilentProgram { instead: None, ..never }], ..check };
        assert_eq!((check.troubles().len(), check.remarks().len()), (1, 0));
    }
}
