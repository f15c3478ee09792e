//! `collector fields`: what conditions can ask about.

use std::fmt::Write as _;

use collector_core::condition::{Field, FieldType};
use collector_core::event::KINDS;

use crate::cli::{FieldsArgs, ReportFormat};
use crate::failure::Failure;
use crate::output::line::wrap;
use crate::output::table::Table;
use crate::output::{Target, print};

/// Events that conditions of triggers never see, so that nothing triggers itself.
const UNSEEN: [&str; 2] = ["trigger_request", "alert"];
/// Narrower than this the meaning is not made.
const MIN_MEANING: usize = 30;

pub(super) fn run(args: &FieldsArgs) -> Result<(), Failure> {
    let text = match args.format {
        ReportFormat::Text => text(Target::open(None, None)?.width().unwrap_or(usize::MAX)),
        ReportFormat::Json => format!("{}\n", serde_json::Value::Array(asked().map(json).collect())),
    };
    Ok(print(&text)?)
}

/// The fields that some event has which conditions see.
fn asked() -> impl Iterator<Item = Field> {
    Field::ALL.iter().copied().filter(|field| !carriers(*field).is_empty())
}

/// The events that have it: their domains, or single kinds.
fn carriers(field: Field) -> Vec<&'static str> {
    field.carriers().iter().copied().filter(|carrier| !UNSEEN.contains(carrier)).collect()
}

/// A table for each sort of events, so that it fits into lines of this width.
fn text(width: usize) -> String {
    let mut groups: Vec<(Vec<&str>, Vec<Field>)> = Vec::new();
    for field in asked() {
        let carriers = carriers(field);
        match groups.iter_mut().find(|(of, _)| *of == carriers) {
            Some((_, fields)) => fields.push(field),
            None => groups.push((carriers, vec![field])),
        }
    }
    let names = asked().map(|field| field.name().len()).max().unwrap_or(0);
    let types = asked().map(|field| type_name(field).len()).max().unwrap_or(0);
    // Two blanks before each column.
    let meaning = width.saturating_sub(names + types + 6).max(MIN_MEANING);
    let mut out = String::new();
    for (carriers, fields) in groups {
        let mut table = Table::new(&["", "", ""]);
        for field in fields {
            let mut cells = [format!("{:names$}", field.name()), format!("{:types$}", type_name(field))];
            for line in wrap(field.doc(), meaning) {
                table.row(std::mem::take(&mut cells).into_iter().chain([line]));
            }
        }
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(out, "In events of {}:\n{}", carriers.join(", "), table.render());
    }
    let kinds = KINDS.iter().filter(|(_, domain)| !UNSEEN.contains(domain)).map(|(kind, _)| *kind);
    let kinds = wrap(&kinds.collect::<Vec<_>>().join(", "), width.saturating_sub(2).max(MIN_MEANING));
    out.push_str("Kinds:\n");
    for line in kinds {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn json(field: Field) -> serde_json::Value {
    serde_json::json!({
        "field": field.name(),
        "type": type_name(field),
        "in": carriers(field),
        "meaning": field.doc(),
    })
}

fn type_name(field: Field) -> &'static str {
    match field.field_type() {
        FieldType::Text => "text",
        FieldType::Integer => "integer",
        FieldType::Number => "number",
        FieldType::Bool => "boolean",
        FieldType::Ip => "address",
        FieldType::TextList => "texts",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_into_a_narrow_terminal_and_leaves_nothing_out() {
        let text = text(80);
        let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(longest.chars().count() <= 80, "{longest}");
        for field in asked() {
            let begins = format!("  {} ", field.name());
            let line = text.lines().find(|line| line.starts_with(&begins));
            let word = field.doc().split(' ').next().unwrap();
            assert!(line.is_some_and(|line| line.contains(word)), "{field}");
        }
        assert!(!text.contains("]("), "{text}");
    }

    #[test]
    fn fields_of_alerts_alone_are_not_offered() {
        assert!(asked().any(|field| field == Field::Executable));
        assert!(Field::ALL.iter().any(|field| carriers(*field).is_empty()), "there are some");
        let trigger = asked().map(json).find(|field| field["in"].to_string().contains("trigger_request"));
        assert_eq!(trigger, None);
    }
}
