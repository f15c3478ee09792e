//! The object of an alert.

use serde::{Serialize, Serializer};

use super::members::{Each, Members};
use crate::event::{AlertEvent, AlertReason};

pub(super) struct Alert<'a>(pub(super) &'a AlertEvent);

impl Serialize for Alert<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let AlertEvent {
            alert_id,
            severity,
            title,
            rules,
            unasked,
            condition,
            correlation_id,
            pid: _,
            process: _,
            path,
            size,
            sha256,
            blake3,
            timestamp: _,
            meta: _,
        } = self.0;
        let mut object = Members::with_texts(serializer, path)?;
        object.word("alert_id", alert_id)?;
        object.put("severity", severity.name())?;
        object.word("title", title)?;
        if !rules.is_empty() {
            object.put("rules", &Each(rules, Reason))?;
        }
        if !unasked.is_empty() {
            object.put("unasked", unasked)?;
        }
        object.some("condition", condition.as_deref())?;
        object.word("correlation_id", correlation_id)?;
        object.some_text("path", path.as_ref())?;
        object.some("size", *size)?;
        object.some("sha256", sha256.as_deref())?;
        object.some("blake3", blake3.as_deref())?;
        object.end()
    }
}

struct Reason<'a>(&'a AlertReason);

impl Serialize for Reason<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let AlertReason { rule, description, severity, evidence } = self.0;
        let mut object = Members::begin(serializer)?;
        object.word("rule", rule)?;
        object.word("description", description)?;
        object.put("severity", severity.name())?;
        object.word("evidence", evidence)?;
        object.end()
    }
}
