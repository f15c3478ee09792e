//! Rules about the text of source files.

use std::path::Path;

use super::{Finding, find_word, numbered};

/// Whether a generator wrote this file and says so at its top.
pub(super) fn is_generated(text: &str) -> bool {
    text.lines().take(3).any(|line| line.contains("@generated"))
}

/// Every file says in its first line what it is for.
pub(super) fn module_doc(text: &str) -> Vec<Finding> {
    if text.starts_with("//! ") || text.starts_with("//!\n") {
        return Vec::new();
    }
    vec![Finding::at(1, "the first line must be a `//!` that says what this file is for")]
}

pub(super) fn trailing_whitespace(text: &str) -> Vec<Finding> {
    numbered(text)
        .filter(|(_, line)| line.ends_with([' ', '\t', '\r']))
        .map(|(number, _)| Finding::at(number, "whitespace at the end of the line"))
        .collect()
}

/// A repository that names places on one developer's machine does not work on another's.
pub(super) fn places_outside(text: &str) -> Vec<Finding> {
    // Put together here, so that this file passes its own rule.
    const PLACES: &[&str] = &[concat!("..", "/shared"), concat!("/wo", "rk/")];
    let mut findings = Vec::new();
    for (number, line) in numbered(text) {
        for place in PLACES {
            let is_start =
                |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-./~".contains(c));
            if line.match_indices(place).any(|(at, _)| is_start(at)) {
                findings.push(Finding::at(number, format!("`{place}` is a place outside the repository")));
            }
        }
    }
    findings
}

/// Placeholders and debugging aids; clippy warns too, but not in code that is configured out.
pub(super) fn unfinished(text: &str) -> Vec<Finding> {
    const MACROS: &[&str] = &[concat!("todo", "!"), concat!("unimplemented", "!"), concat!("dbg", "!")];
    let mut findings = Vec::new();
    for (number, line) in numbered(text).filter(|(_, line)| !is_comment(line)) {
        for name in MACROS.iter().filter(|name| find_word(line, name).is_some()) {
            findings.push(Finding::at(number, format!("`{name}` does not belong in committed code")));
        }
    }
    findings
}

/// A test that does not run, or that any panic satisfies, protects nothing.
pub(super) fn silenced_tests(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in numbered(text) {
        let line = line.trim_start();
        if line.starts_with("#[ignore") {
            findings
                .push(Finding::at(number, "no ignored tests: assert what happens now, and say what should"));
        }
        if line.starts_with("#[should_panic") {
            findings
                .push(Finding::at(number, "no `should_panic`: assert on the error or the panic's message"));
        }
    }
    findings
}

/// Tests that sleep are slow where machines are fast and fail where they are slow.
pub(super) fn sleeping_tests(path: &Path, text: &str) -> Vec<Finding> {
    const REASON: &str = "// deadline:";
    let whole_file = path.components().any(|part| part.as_os_str() == "tests")
        || path.file_name().is_some_and(|name| name == "tests.rs" || name == "testing.rs");
    let mut in_tests = whole_file;
    let mut previous = "";
    let mut findings = Vec::new();
    for (number, line) in numbered(text) {
        // By convention the test module is the last item of a file; a single item under `cfg(test)` is not a module.
        in_tests |= previous.trim() == "#[cfg(test)]" && line.trim_start().starts_with("mod ");
        let sleeps = !is_comment(line) && find_word(line, "sleep(").is_some() && !line.contains("fn sleep(");
        if in_tests && sleeps && !line.contains(REASON) && !previous.contains(REASON) {
            findings.push(Finding::at(
                number,
                format!("a sleep in a test: wait for the event instead, or say `{REASON} …` why time itself matters"),
            ));
        }
        previous = line;
    }
    findings
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_module_doc_is_the_first_line() {
        assert!(module_doc("//! What for.\n").is_empty());
        assert_eq!(lines(&module_doc("#![no_std]\n//! What for.\n")), [1]);
        assert_eq!(lines(&module_doc("")), [1]);
    }

    #[test]
    fn whitespace_at_line_ends_is_found() {
        assert_eq!(lines(&trailing_whitespace("a\nb \n\nc\t\n\r\n")), [2, 4]);
    }

    #[test]
    fn absolute_places_are_found_and_their_lookalikes_are_not() {
        let place = concat!("/wo", "rk/");
        let text = format!("see {}/shared\n{place}x\nhome{place}x\nhttps://h{place}x\n", "..");
        assert_eq!(lines(&places_outside(&text)), [1, 2]);
    }

    #[test]
    fn placeholders_are_found_outside_comments() {
        let todo = concat!("todo", "!()");
        let text = format!("{todo}\n// {todo}\nlet x = {todo};\nnot_a_{todo}\n");
        assert_eq!(lines(&unfinished(&text)), [1, 3]);
    }

    #[test]
    fn silenced_tests_are_found() {
        let text = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n    #[should_panic]\nlet s = \"#[ignore]\";\n";
        assert_eq!(lines(&silenced_tests(text)), [2, 4]);
    }

    #[test]
    fn sleeping_is_for_code_outside_tests() {
        let call = concat!("thread::sleep", "(second);");
        let text =
            format!("{call}\n#[cfg(test)]\nmod tests {{\n{call}\n{call} // deadline: none\n// {call}\n}}\n");
        assert_eq!(lines(&sleeping_tests(Path::new("a/src/lib.rs"), &text)), [4]);
        assert_eq!(lines(&sleeping_tests(Path::new("a/tests/b.rs"), &text)), [1, 4]);
    }

    #[test]
    fn a_reason_may_stand_above_and_an_import_for_tests_starts_no_module() {
        let call = concat!("sleep", "(second).await;");
        let text = format!(
            "#[cfg(test)]\nuse a::b;\n{call}\n#[cfg(test)]\nmod tests {{\n// deadline: why\n{call}\n}}\n"
        );
        assert!(sleeping_tests(Path::new("a/src/lib.rs"), &text).is_empty());
    }

    #[test]
    fn generated_code_names_itself() {
        assert!(is_generated("// This file is @generated by prost-build.\n"));
        assert!(!is_generated("//! What for.\n"));
    }
}
