//! What a query may do: read. SQLite asks for every action of a statement before it runs any.

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Pragmas that only tell about the schema; all others could change something.
const PRAGMAS: &[&str] = &[
    "collation_list",
    "compile_options",
    "database_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "page_count",
    "page_size",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];
/// The ones of them whose argument is a name, not a new value.
const PRAGMAS_WITH_NAME: &[&str] =
    &["index_info", "index_list", "index_xinfo", "table_info", "table_list", "table_xinfo"];
/// Functions that reach outside the database.
const REFUSED_FUNCTIONS: &[&str] = &["load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"];

/// Decides about one action; a refusal comes with what was refused.
pub(crate) fn decide(context: &AuthContext<'_>) -> Result<(), String> {
    match &context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Ok(()),
        AuthAction::Function { function_name }
            if !REFUSED_FUNCTIONS.iter().any(|refused| refused.eq_ignore_ascii_case(function_name)) =>
        {
            Ok(())
        }
        AuthAction::Pragma { pragma_name, pragma_value }
            if is_one_of(PRAGMAS, pragma_name)
                && (pragma_value.is_none() || is_one_of(PRAGMAS_WITH_NAME, pragma_name)) =>
        {
            Ok(())
        }
        refused => Err(describe(refused)),
    }
}

/// [`decide`] in SQLite's terms; keeps the first refusal for the error message.
pub(crate) fn authorize(context: &AuthContext<'_>, refusal: &mut Option<String>) -> Authorization {
    match decide(context) {
        Ok(()) => Authorization::Allow,
        Err(what) => {
            refusal.get_or_insert(what);
            Authorization::Deny
        }
    }
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|candidate| candidate.eq_ignore_ascii_case(name))
}

fn describe(action: &AuthAction<'_>) -> String {
    match action {
        AuthAction::Function { function_name } => format!("the function {function_name}"),
        AuthAction::Pragma { pragma_name, .. } => format!("PRAGMA {pragma_name}"),
        AuthAction::Attach { .. } => "ATTACH".to_owned(),
        AuthAction::Detach { .. } => "DETACH".to_owned(),
        AuthAction::Insert { table_name } if !table_name.starts_with("sqlite_") => {
            format!("a write to {table_name}")
        }
        AuthAction::Update { table_name, .. } if !table_name.starts_with("sqlite_") => {
            format!("an update of {table_name}")
        }
        AuthAction::Delete { table_name } if !table_name.starts_with("sqlite_") => {
            format!("a delete from {table_name}")
        }
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => "a transaction".to_owned(),
        _ => "a change of the schema".to_owned(),
    }
}
