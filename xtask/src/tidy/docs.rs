//! Rules about Markdown files.

use super::{Finding, numbered};

/// Links inside the repository must lead somewhere. `exists` is asked for each path as written.
pub(super) fn broken_links(text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (number, line) in numbered(text) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in link_targets(line) {
            let path = target.split(['#', '?']).next().unwrap_or(target);
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !path.is_empty() && !exists(path) {
                findings.push(Finding::at(number, format!("the link leads nowhere: {target}")));
            }
        }
    }
    findings
}

/// What stands in parentheses after `]`, and after `]:` of a reference.
fn link_targets(line: &str) -> Vec<&str> {
    let inline = line.match_indices("](").filter_map(|(at, open)| {
        let rest = &line[at + open.len()..];
        // A title may follow the address.
        rest.split([')', ' ']).next()
    });
    let reference =
        line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once("]: ")).filter(|(name, _)| {
            // `[x]: y`, and no footnote.
            !name.contains(['[', ']']) && !name.starts_with('^')
        });
    inline.chain(reference.and_then(|(_, target)| target.split_whitespace().next())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<usize> {
        broken_links(text, |path| path == "README.md").into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_to_files_are_followed() {
        assert_eq!(check("[a](README.md#top), [b](gone.md)\n\n[c](README.md \"title\")\n"), [1]);
        assert_eq!(check("[ref]: gone.md\n[ref2]: README.md\n[^note]: words\n"), [1]);
    }

    #[test]
    fn other_links_are_not() {
        assert!(check("[a](https://example.org/x) [b](#anchor) [c](mailto:a@example.org)\n").is_empty());
    }

    #[test]
    fn code_has_no_links() {
        assert!(check("```rust\nlet x = array[0](gone);\n```\n").is_empty());
    }
}
