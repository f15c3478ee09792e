//! docs/kernels.md: what is captured in which kernel, as `collector doctor` says inside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// A kernel, for the page.
#[derive(Debug)]
pub(super) struct Column<'a> {
    /// The kernel's own name.
    pub(super) release: &'a str,
    /// What `collector doctor --format json` said.
    pub(super) doctor: &'a Value,
    /// What else there is to know, in sentences.
    pub(super) note: Option<&'static str>,
}

/// The page.
pub(super) fn render(columns: &[Column<'_>]) -> String {
    let mut page = String::from(
        "# Kernels\n\n\
         What collector captures in kernels that distributions ship: Debian's, for virtual machines, each booted in an emulated machine.\n\
         `cargo xtask vm-test --table` writes this page, out of what `collector doctor` says in each.\n\n\
         The letter is the tier: A is capture at the kernel's functions, B at tracepoints.\n\
         A number refers to what is missing, below.\n\n",
    );
    let mut missing: Vec<&str> = Vec::new();
    let kinds = kinds(columns);
    let releases: Vec<_> = columns.iter().map(|column| column.release).collect();
    let _ = writeln!(page, "| kind | {} |\n|---|{}", releases.join(" | "), "---|".repeat(columns.len()));
    for kind in kinds {
        let cells = columns.iter().map(|column| cell(column.doctor, kind, &mut missing)).collect::<Vec<_>>();
        let _ = writeln!(page, "| `{kind}` | {} |", cells.join(" | "));
    }
    page.push_str("\n## What is missing\n\n");
    for (number, reason) in missing.iter().enumerate() {
        let _ = writeln!(page, "{}. {reason}", number + 1);
    }
    for Column { release, note, .. } in columns {
        if let Some(note) = note {
            let _ = write!(page, "\n## {release}\n\n{note}\n");
        }
    }
    page
}

/// Kinds in the order in which the first kernel has them.
fn kinds<'a>(columns: &[Column<'a>]) -> Vec<&'a str> {
    let mut order: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in columns.iter().flat_map(|column| column.doctor["kinds"].as_array().into_iter().flatten()) {
        let next = order.len();
        order.entry(kind["kind"].as_str().unwrap_or_default()).or_insert(next);
    }
    let mut kinds: Vec<_> = order.into_iter().collect();
    kinds.sort_by_key(|&(_, position)| position);
    kinds.into_iter().map(|(kind, _)| kind).collect()
}

/// The tier, or a dash, and numbers of reasons.
fn cell<'a>(doctor: &'a Value, kind: &str, missing: &mut Vec<&'a str>) -> String {
    let Some(planned) = doctor["kinds"].as_array().into_iter().flatten().find(|it| it["kind"] == kind) else {
        return "?".to_owned();
    };
    let captured = planned["captured"] == true;
    let mut cell = if captured { planned["tier"].as_str().unwrap_or("?") } else { "–" }.to_owned();
    for reason in planned["lacks"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let known = missing.iter().position(|it| *it == reason);
        let number = known.unwrap_or_else(|| {
            missing.push(reason);
            missing.len() - 1
        });
        let _ = write!(cell, " {}", number + 1);
    }
    cell
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_are_numbered_once() {
        let old = json!({"kinds": [
            {"kind": "process.exec", "captured": false, "tier": "", "lacks": ["too old"]},
            {"kind": "file.modify", "captured": false, "tier": "", "lacks": ["too old"]},
        ]});
        let new = json!({"kinds": [
            {"kind": "process.exec", "captured": true, "tier": "B", "lacks": []},
            {"kind": "file.modify", "captured": true, "tier": "B", "lacks": ["writes at exec"]},
        ]});
        let column = |release, doctor| Column { release, doctor, note: Some("It is special.") };
        let page = render(&[column("5.10.0", &old), column("6.1.0", &new)]);
        assert!(page.contains("| kind | 5.10.0 | 6.1.0 |\n|---|---|---|\n"), "{page}");
        assert!(page.contains("| `process.exec` | – 1 | B |\n| `file.modify` | – 1 | B 2 |\n"), "{page}");
        assert!(page.contains("1. too old\n2. writes at exec\n"), "{page}");
        assert!(page.contains("## 6.1.0\n\nIt is special.\n"), "{page}");
    }
}
