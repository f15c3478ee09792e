//! `collector config`, and where configuration comes from.

use crate::{Fixture, text};

#[test]
fn printed_defaults_are_a_valid_configuration() {
    let fixture = Fixture::new();
    let defaults = fixture.run(&["config", "print-defaults"]).succeeds().out;
    let file = fixture.file("defaults.toml", &defaults);
    let checked = fixture.run(&["config", "check", text(&file)]).succeeds();
    assert_eq!(checked.out, format!("configuration is valid: {}\n", text(&file)));
}

#[test]
fn mistake_is_found_with_its_line_and_a_suggestion() {
    let fixture = Fixture::new();
    let file = fixture.file("bad.toml", "[store]\nmax_aeg = \"1d\"\n");
    let words = "bad.toml:2: unknown key `max_aeg`, did you mean `max_age`?";
    fixture.run(&["config", "check", text(&file)]).fails(2, words);
    fixture.run(&["--config", text(&file), "run"]).fails(2, words);
    fixture.run(&["config", "check", "/no/such.toml"]).fails(2, "cannot read /no/such.toml");
}

#[test]
fn layers_are_shown_as_they_are_in_force() {
    let fixture = Fixture::new();
    let file = fixture.file("mine.toml", "[output]\nformat = \"json\"\n[store]\nmax_age = \"2d\"\n");
    let mut command = fixture.command(&["config", "show", "--config", text(&file)]);
    let ran = crate::Ran::of(command.env("COLLECTOR_STORE_MAX_AGE", "36h").output().unwrap()).succeeds();
    assert!(ran.out.contains("format = \"json\"") && ran.out.contains("max_age = \"1d12h\""), "{}", ran.out);
    assert!(
        ran.out.starts_with(&format!("# from {}\n# from COLLECTOR_STORE_MAX_AGE\n", text(&file))),
        "{}",
        ran.out
    );
}

#[test]
fn misspelt_variable_is_an_error() {
    let fixture = Fixture::new();
    let mut command = fixture.command(&["config", "check"]);
    let ran = crate::Ran::of(command.env("COLLECTOR_STORE_MAXAGE", "1d").output().unwrap());
    ran.fails(2, "did you mean COLLECTOR_STORE_MAX_AGE?");
}

#[test]
fn conditions_that_are_never_met_are_pointed_out() {
    let fixture = Fixture::new();
    let check = |text_: &str| {
        let file = fixture.file("conditions.toml", text_);
        let checked = fixture.run(&["config", "check", text(&file)]).succeeds();
        checked.err.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let condition = |id: &str, when: &str| format!("[[triggers.conditions]]\nid = \"{id}\"\n{when}\n");
    let usage = condition("usage", "usage_above = { cpu_percent = 90, memory = \"1GiB\" }");
    let file = condition("file", "sql = \"kind = 'file.create'\"");
    let fine =
        condition("exec", "sql = \"kind = 'process.exec'\"") + &condition("any", "process_name = \"x\"");
    assert_eq!(check(&fine), [""; 0]);
    assert_eq!(check(&(file.clone() + &fine)), [""; 0]);
    assert_eq!(
        check(&(usage.clone() + &file + &fine + "[capture]\nsources = [\"process\"]\n")),
        [
            "warning: triggers.conditions \"usage\" is never met: nothing measures processes: add `performance` to capture.sources",
            "warning: triggers.conditions \"file\" is never met: file.create is not captured",
        ]
    );
    assert_eq!(check(&(usage.clone() + "[capture]\nsources = [\"performance\"]\n")), [""; 0]);
    assert_eq!(
        check(&(usage + &file + "[capture]\nmode = \"procfs\"\n")),
        ["warning: triggers.conditions \"file\" is never met: file.create is not captured"]
    );
    assert_eq!(
        check(&condition("own", "sql = \"kind = 'alert'\"")),
        ["warning: triggers.conditions \"own\" is never met: no event that is looked at can be like that"]
    );
    assert_eq!(
        check("[[analysis.rules]]\nid = \"r\"\nseverity = \"low\"\npaths = [\"/x\"]\n"),
        ["warning: analysis.rules are never asked: no [[triggers.conditions]] start a chain"]
    );
}
