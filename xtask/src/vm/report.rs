//! What a machine reported, and whether that is good.

use std::fmt;

use serde_json::Value;

use super::machine::End;

/// The outputs of the programs in a machine, understood.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Report {
    /// The kernel's own name.
    pub(super) release: String,
    /// What `collector doctor` said.
    pub(super) doctor: Value,
    pub(super) passed: usize,
    pub(super) failed: Vec<String>,
    /// Tests that were not run.
    pub(super) left_out: usize,
    /// What the test program wrote about failures.
    pub(super) failures: String,
    /// How the test program ended, if it did.
    end: Option<String>,
}

/// Whether a kernel is as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Failed(_) => "FAILED",
        })
    }
}

impl Report {
    /// Reads it; what is not there stays empty. Parts begin with lines `@name`, outputs end with a line `@end how`.
    pub(super) fn parse(text: &str) -> Self {
        let mut report = Self::default();
        let mut part = "";
        for line in text.lines().map(|line| line.trim_end_matches('\r')) {
            match line.strip_prefix('@').map(|rest| rest.split_once(' ').unwrap_or((rest, ""))) {
                Some(("kernel", release)) => report.release = release.to_owned(),
                Some(("end", how)) => {
                    report.end = (part == "tests").then(|| how.to_owned());
                    part = "";
                }
                Some((name, _)) => part = name,
                None => report.line(part, line),
            }
        }
        report
    }

    fn line(&mut self, part: &str, line: &str) {
        match part {
            "doctor" if self.doctor.is_null() => self.doctor = serde_json::from_str(line).unwrap_or_default(),
            "tests" => self.test_line(line),
            _ => {}
        }
    }

    /// A line of the test program.
    fn test_line(&mut self, line: &str) {
        if let Some((name, result)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            match result {
                "ok" => self.passed += 1,
                "FAILED" => self.failed.push(name.to_owned()),
                _ => self.left_out += 1,
            }
        } else if let Some(sum) = line.strip_prefix("test result: ") {
            let filtered = sum.split("; ").find_map(|part| part.strip_suffix(" filtered out"));
            self.left_out += filtered.and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
        } else if line == "failures:" || !self.failures.is_empty() {
            self.failures.push_str(line);
            self.failures.push('\n');
        }
    }

    /// Judges it. Nothing counts as good unless all that should be there is.
    pub(super) fn outcome(&self, end: End) -> Outcome {
        let failed = |why: &str| Outcome::Failed(why.to_owned());
        match (end, self.end.as_deref()) {
            _ if !self.failed.is_empty() => Outcome::Failed(format!("failed: {}", self.failed.join(", "))),
            (End::Deadline, _) => failed("the machine was ended because it took too long"),
            (End::Itself, None) => failed("the machine ended before the tests did; its console may tell why"),
            (End::Itself, Some("exit 0")) if self.passed == 0 => failed("no test ran"),
            (End::Itself, Some("exit 0")) if self.doctor.is_null() => {
                failed("`collector doctor` said nothing")
            }
            (End::Itself, Some("exit 0")) => Outcome::Good,
            (End::Itself, Some(how)) => Outcome::Failed(format!("the tests ended with {how}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GOOD: &str = "@kernel 6.1.0-50\r\n@doctor\r\n{\"can_capture\":true}\r\n@end exit 0\r\n@tests\r\n\r\nrunning 3 tests\r\n\
        test a::one ... ok\r\ntest b::two ... ignored\r\ntest c ... ok\r\n\r\ntest result: ok. 2 passed; 0 failed; 1 ignored; \
        0 measured; 4 filtered out; finished in 1.2s\r\n\r\n@end exit 0\r\n";

    #[test]
    fn a_report_is_understood() {
        let report = Report::parse(GOOD);
        assert_eq!((&*report.release, report.passed, report.left_out), ("6.1.0-50", 2, 5));
        assert_eq!(report.doctor, json!({"can_capture": true}));
        assert_eq!(report.outcome(End::Itself), Outcome::Good);
        assert!(matches!(report.outcome(End::Deadline), Outcome::Failed(_)));
    }

    #[test]
    fn failures_are_named_and_quoted() {
        let text =
            GOOD.replace("c ... ok", "c ... FAILED").replace("exit 0\r\n@tests", "exit 0\r\n@tests\r\n");
        let text = text.replace(
            "\r\n\r\ntest result",
            "\r\n\r\nfailures:\r\n\r\n---- c stdout ----\r\nwhy\r\n\r\ntest result",
        );
        let report = Report::parse(&text);
        assert_eq!(report.failures.trim(), "failures:\n\n---- c stdout ----\nwhy");
        assert_eq!(report.outcome(End::Itself), Outcome::Failed("failed: c".into()));
    }

    #[test]
    fn half_a_report_is_a_failure() {
        let complete = GOOD.len();
        for length in (0..complete - 2).filter(|&length| GOOD.is_char_boundary(length)) {
            let outcome = Report::parse(&GOOD[..length]).outcome(End::Itself);
            assert!(matches!(outcome, Outcome::Failed(_)), "{length} of {complete}: {outcome}");
        }
    }
}
