//! Events as JSON lines.

use collector_core::json::{HostInfo, write_line};
use collector_core::{CollectionEvent, json};

/// Appends the event as one line.
pub(crate) fn write(out: &mut Vec<u8>, event: &CollectionEvent, host: &HostInfo) {
    if let Err(error) = write_line(out, event, host) {
        // Only metadata that JSON cannot hold. A line that says so is better than a silent hole.
        let line =
            serde_json::json!({ "schema": json::SCHEMA, "kind": event.kind(), "error": error.to_string() });
        out.extend_from_slice(line.to_string().as_bytes());
        out.push(b'\n');
    }
}
