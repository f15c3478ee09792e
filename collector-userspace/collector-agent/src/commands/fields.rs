//! `collector fields`: what conditions can ask about.

use collector_core::condition::Field;

use crate::cli::{FieldsArgs, ReportFormat};
use crate::failure::Failure;
use crate::output::print;
use crate::output::table::Table;

pub(super) fn run(args: &FieldsArgs) -> Result<(), Failure> {
    let text = match args.format {
        ReportFormat::Text => table(),
        ReportFormat::Json => {
            format!("{}\n", serde_json::Value::Array(Field::ALL.iter().map(json).collect()))
        }
    };
    Ok(print(&text)?)
}

fn table() -> String {
    let mut table = Table::new(&["field", "type", "in", "meaning"]).indent(0);
    for field in Field::ALL {
        let carriers = field.carriers().join(", ");
        table.row([
            field.name().to_owned(),
            field.field_type().to_string(),
            carriers,
            field.doc().to_owned(),
        ]);
    }
    table.render()
}

fn json(field: &Field) -> serde_json::Value {
    serde_json::json!({
        "field": field.name(),
        "type": field.field_type().to_string(),
        "in": field.carriers(),
        "meaning": field.doc(),
    })
}
