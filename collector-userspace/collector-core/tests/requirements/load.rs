//! Sources that produce events as a busy machine does, and the triggers that look at them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use collector_core::{
    AnalysisType, CollectionEvent, CollectorConfig, ConditionType, EventSource, ExecId, FilesystemEvent,
    FilesystemEventKind, ProcessEvent, ProcessEventKind, ProcessRef, SourceCaps, TriggerCapabilities,
    TriggerCondition, TriggerConfig, TriggerManager, TriggerPriority, TriggerResourceLimits,
};
use tokio::sync::mpsc;

/// Events a ring reader hands over at once.
pub(crate) const BURST: u64 = 100;

/// Sends so many events in bursts, with a pause before each if there is one.
pub(crate) struct Load {
    pub(crate) events: u64,
    pub(crate) pause: Option<Duration>,
}

#[async_trait]
impl EventSource for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn capabilities(&self) -> SourceCaps {
        SourceCaps::PROCESS | SourceCaps::FILESYSTEM
    }

    async fn start(
        &self,
        tx: mpsc::Sender<CollectionEvent>,
        shutdown_signal: Arc<AtomicBool>,
    ) -> anyhow::Result<()> {
        let mut ticks = self.pause.map(tokio::time::interval);
        let mut next = 0;
        while next < self.events && !shutdown_signal.load(std::sync::atomic::Ordering::Relaxed) {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            for permit in tx.reserve_many(BURST as usize).await? {
                permit.send(event(next));
                next += 1;
            }
        }
        Ok(())
    }

    async fn stop(&self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The event with this number: three processes come and go in ten events, each with an identity of its own.
pub(crate) fn event(number: u64) -> CollectionEvent {
    let process = number / 10 * 3 + (number % 10).min(2);
    let id = |process: u64| ExecId {
        boot: 1,
        pid: (process % 4_000_000) as u32 + 2,
        start_ticks: process / 4_000_000,
        image: 0x9b20_c4d1,
    };
    let own = id(process);
    match number % 10 {
        kind @ 0..6 => CollectionEvent::Process(ProcessEvent {
            pid: own.pid,
            ppid: Some(own.pid / 2),
            exec_id: Some(own),
            parent_exec_id: Some(id(process / 2)),
            name: format!("tool{}", process % 50),
            executable_path: Some(format!("/usr/bin/tool{}", process % 50).into()),
            // Of different lengths, as life is: a leak shows in the pages of every size.
            command_line: vec!["tool".into(), "x".repeat(process as usize * 7 % 300).into()],
            kind: if kind < 3 { ProcessEventKind::Exec } else { ProcessEventKind::Exit },
            timestamp: SystemTime::now(),
            ..ProcessEvent::default()
        }),
        _ => CollectionEvent::Filesystem(FilesystemEvent {
            pid: Some(own.pid),
            path: format!("/var/lib/data/{}/{}", number % 97, "y".repeat(number as usize % 60)).into(),
            process: Some(Arc::new(ProcessRef {
                pid: own.pid,
                exec_id: Some(own),
                name: "tool".into(),
                executable: Some("/usr/bin/tool".into()),
                uid: Some(1000),
                container_id: None,
            })),
            kind: FilesystemEventKind::Open,
            timestamp: SystemTime::now(),
            ..FilesystemEvent::default()
        }),
    }
}

/// Ten conditions, one of which is met by one event in fifteen, always by another process.
pub(crate) fn triggers() -> TriggerManager {
    let manager = TriggerManager::new(TriggerConfig::default()).expect("the defaults are valid");
    manager
        .register_collector_capabilities(TriggerCapabilities {
            collector_id: "hasher".to_owned(),
            supported_conditions: vec![ConditionType::Sql(String::new())],
            supported_analysis: vec![AnalysisType::BinaryHash],
            max_trigger_rate: 1_000_000,
            max_concurrent_analysis: 2,
            supported_priorities: vec![TriggerPriority::Normal],
            resource_limits: TriggerResourceLimits::default(),
        })
        .expect("they are valid");
    let miss = (0..9).map(|id| format!("executable LIKE '/tmp/{id}%' OR command_line LIKE '%secret{id}%'"));
    let hit = "kind = 'process.exec' AND name IN ('tool0', 'tool5', 'tool10', 'tool15', 'tool20', 'tool25')";
    for (id, sql) in miss.chain([hit.to_owned()]).enumerate() {
        manager
            .register_condition(TriggerCondition {
                id: id.to_string(),
                description: "of a test".to_owned(),
                analysis_type: AnalysisType::BinaryHash,
                priority: TriggerPriority::Normal,
                target_collector: "hasher".to_owned(),
                condition_type: ConditionType::Sql(sql),
            })
            .expect("it is valid");
    }
    manager
}

pub(crate) fn config() -> CollectorConfig {
    CollectorConfig::new().with_signal_handling(false)
}
