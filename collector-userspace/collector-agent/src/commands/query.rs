//! `collector query SQL`: the database of events, read-only.

use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use collector_store::{Limits, QueryError, Value, query, query_each, quote};

use serde::Serializer as _;

use super::Context;
use crate::cli::{QueryArgs, RowFormat};
use crate::failure::{Failure, Kind};
use crate::output::table::{Align, Table};
use crate::output::{human, message, print};
use crate::paths::Paths;

pub(super) fn run(context: &Context, args: &QueryArgs) -> Result<(), Failure> {
    let config = context.configure()?.config;
    let QueryArgs { sql, db, format, timeout, limit } = args;
    let path = db.clone().or(config.store.path).unwrap_or_else(|| default_database(&context.paths));
    let limits =
        Limits { time: timeout.0, rows: if *limit == 0 { u64::MAX } else { *limit }, ..Limits::default() };
    let truncated = match format {
        RowFormat::Table => {
            let rows = query(&path, sql, &limits).map_err(failure)?;
            let numeric = |column: usize| {
                let first =
                    rows.rows.iter().filter_map(|row| row.get(column)).find(|value| **value != Value::Null);
                matches!(first, Some(Value::Integer(_) | Value::Real(_)))
            };
            let head = rows.columns.iter().enumerate();
            let mut table = Table::with_columns(head.map(|(column, name)| {
                let align = if numeric(column) { Align::Right } else { Align::Left };
                (cell(&Value::Text(name.clone())), align)
            }))
            .indent(0);
            for row in &rows.rows {
                table.row(row.iter().map(cell));
            }
            print(&table.render())?;
            rows.truncated
        }
        RowFormat::Json => each(&path, sql, &limits, |out, columns, row| {
            // Not through a map of its own, which would sort the columns.
            serde_json::Serializer::new(&mut *out).collect_map(columns.iter().zip(row))?;
            out.write_all(b"\n")
        })?,
        RowFormat::Csv => {
            let mut has_header = false;
            each(&path, sql, &limits, |out, columns, row| {
                if !has_header {
                    has_header = true;
                    csv(out, columns)?;
                }
                csv(out, &row)
            })?
        }
    };
    if truncated {
        message(format_args!("only the first {} rows are shown; --limit shows more", human::count(*limit)));
    }
    Ok(())
}

/// One's own database, or, where one has none, the system's.
fn default_database(paths: &Paths) -> PathBuf {
    let system = Paths::of_system().database();
    if !paths.database().exists() && system.exists() { system } else { paths.database() }
}

/// Prints row after row. Says whether there would have been more.
fn each(
    path: &Path,
    sql: &str,
    limits: &Limits,
    mut print: impl FnMut(&mut dyn Write, &[String], Vec<Value>) -> std::io::Result<()>,
) -> Result<bool, Failure> {
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    let mut written = Ok(());
    let answer = query_each(path, sql, limits, |columns, row| {
        written = print(&mut out, columns, row);
        if written.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    // Rows that came before an error are an answer, too.
    written.and_then(|()| out.flush())?;
    Ok(answer.map_err(failure)?.truncated)
}

fn failure(error: QueryError) -> Failure {
    let kind = match error {
        QueryError::Refused(_) | QueryError::Sql(_) => Kind::Usage,
        _ => Kind::Failed,
    };
    Failure::new(kind, error)
}

/// A value as a cell of a table: nothing in it can move the terminal.
fn cell(value: &Value) -> String {
    let mut cell = String::new();
    match value {
        Value::Null => cell.push('-'),
        other => quote::escape_into(&mut cell, other.to_string().as_bytes(), false),
    }
    cell
}

/// A line as RFC 4180 has it.
fn csv(out: &mut dyn Write, cells: &[impl std::fmt::Display]) -> std::io::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        let cell = cell.to_string();
        if cell.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}
