//! The objects of measurements, trigger requests and losses.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::members::{Foreign, Members, Shown, nanos};
use crate::event::{AnalysisType, LossEvent, PerformanceEvent, TriggerPriority, TriggerRequest};

pub(super) struct Performance<'a>(pub(super) &'a PerformanceEvent);

impl Serialize for Performance<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PerformanceEvent {
            metric_name,
            value,
            unit,
            pid: _,
            component,
            interval,
            process: _,
            timestamp: _,
            meta: _,
        } = self.0;
        let mut object = Members::begin(serializer)?;
        object.word("metric", metric_name)?;
        object.some("value", Some(value).filter(|value| value.is_finite()))?;
        object.word("unit", unit)?;
        object.word("component", component)?;
        object.some("interval_ns", interval.map(nanos))?;
        object.end()
    }
}

pub(super) struct Trigger<'a>(pub(super) &'a TriggerRequest);

impl Serialize for Trigger<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TriggerRequest {
            trigger_id,
            target_collector,
            analysis_type,
            priority,
            target_pid,
            target_path,
            target_bytes: _,
            target_mount_ns,
            process: _,
            correlation_id,
            metadata,
            timestamp: _,
        } = self.0;
        let mut object = Members::begin(serializer)?;
        object.word("trigger_id", trigger_id)?;
        object.word("target_collector", target_collector)?;
        object.put("analysis_type", &Shown(AnalysisName(analysis_type)))?;
        object.put(
            "priority",
            match priority {
                TriggerPriority::Low => "low",
                TriggerPriority::Normal => "normal",
                TriggerPriority::High => "high",
                TriggerPriority::Critical => "critical",
            },
        )?;
        object.some("target_pid", *target_pid)?;
        object.some("target_path", target_path.as_deref())?;
        object.some("target_mount_ns", *target_mount_ns)?;
        object.word("correlation_id", correlation_id)?;
        if !metadata.is_empty() {
            // Sorted, so that the same request is the same line.
            object.put("metadata", &Foreign(metadata.iter().collect::<BTreeMap<_, _>>()))?;
        }
        object.end()
    }
}

struct AnalysisName<'a>(&'a AnalysisType);

impl std::fmt::Display for AnalysisName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            AnalysisType::BinaryHash => f.write_str("binary_hash"),
            AnalysisType::MemoryAnalysis => f.write_str("memory_analysis"),
            AnalysisType::YaraScan => f.write_str("yara_scan"),
            AnalysisType::NetworkAnalysis => f.write_str("network_analysis"),
            AnalysisType::BehavioralAnalysis => f.write_str("behavioral_analysis"),
            AnalysisType::Custom(name) => write!(f, "custom:{name}"),
        }
    }
}

pub(super) struct Loss<'a>(pub(super) &'a LossEvent);

impl Serialize for Loss<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let LossEvent { timestamp: _, meta: _, domain, kind, reason, count, cpu, first_seq, last_seq } =
            self.0;
        let mut object = Members::begin(serializer)?;
        object.word("domain", domain)?;
        object.some("kind", *kind)?;
        object.word("reason", reason)?;
        object.put("count", count)?;
        object.some("cpu", *cpu)?;
        object.some("first_seq", *first_seq)?;
        object.some("last_seq", *last_seq)?;
        object.end()
    }
}
