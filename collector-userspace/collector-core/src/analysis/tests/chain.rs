//! The default analyzers in a chain, from an event to an alert.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;

use super::support::*;
use crate::analysis::*;
use crate::event::{
    AnalysisType, CollectionEvent, ProcessEvent, ProcessEventKind, Text, TriggerPriority, TriggerRequest,
};

fn whole_chain() -> AnalysisWorkflowDefinition {
    AnalysisWorkflowDefinition::new()
        .with_stage(AnalysisStage::Collection)
        .with_stage(AnalysisStage::Enrichment)
        .with_stage(AnalysisStage::Detection)
        .with_stage(AnalysisStage::Alerting)
}

fn exec_of(path: &str) -> AnalysisSubject {
    AnalysisSubject::event(CollectionEvent::Process(ProcessEvent {
        pid: 4711,
        kind: ProcessEventKind::Exec,
        name: "dropper".to_owned(),
        executable_path: Some(Text::from(path)),
        ..ProcessEvent::default()
    }))
}

/// A rule for the digest of `abc`.
fn known_bad() -> VerdictRule {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse().unwrap();
    VerdictRule::new("known-bad", AlertSeverity::Critical, RuleMatch::Digests([digest].into()))
}

fn outcome(report: &ExecutionReport) -> &AlertOutcome {
    match report.output("alerting") {
        Some(AnalysisOutput::Alert(outcome)) => outcome,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_known_bad_executable_becomes_an_alert() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    std::fs::write(&path, "abc").unwrap();
    let (tx, mut alerts) = mpsc::channel(1);
    let config = AnalysisChainConfig::default().with_rules(vec![
        VerdictRule::new(
            "place",
            AlertSeverity::Low,
            RuleMatch::PathPrefixes(vec![directory.path().to_owned()]),
        ),
        known_bad(),
        VerdictRule::new("elsewhere", AlertSeverity::Low, RuleMatch::PathPrefixes(vec!["/elsewhere".into()])),
    ]);
    let coordinator = AnalysisChainCoordinator::with_alert_sink(config, tx).unwrap();
    let subject = exec_of(path.to_str().unwrap()).with_correlation_id("case 7");
    let report = coordinator.execute_workflow(whole_chain().with_subject(subject)).await.unwrap();

    let alert = alerts.try_recv().unwrap();
    assert_eq!(alert.severity, AlertSeverity::Critical);
    assert_eq!(alert.title, format!("{}: place, known-bad", path.display()));
    assert_eq!((&*alert.correlation_id, alert.subject.pid), ("case 7", Some(4711)));
    assert_eq!((alert.subject.size, alert.subject.modified.is_some()), (Some(3), true));
    assert_eq!(alert.digests.as_ref().unwrap().size, 3);
    assert_eq!(alert.unasked, [""; 0]);
    assert_eq!(*outcome(&report), AlertOutcome::Delivered(Arc::new(alert)));
    let statistics = check_books(&coordinator);
    assert_eq!((statistics.alerts.attempts, statistics.alerts.delivered), (1, 1));
    assert_eq!(statistics.hasher.requests, 1);
}

#[tokio::test]
async fn an_executable_that_is_gone_is_judged_by_what_is_known() {
    let config = AnalysisChainConfig::default().with_rule(known_bad());
    let coordinator = AnalysisChainCoordinator::new(config).unwrap();
    let subject = exec_of("/tmp/no such file/x");
    let report = coordinator.execute_workflow(whole_chain().with_subject(subject)).await.unwrap();
    assert!(matches!(
        report.output("enrichment"),
        Some(AnalysisOutput::Enriched(Enrichment::NotHashed(HashError::NotFound { .. })))
    ));
    let AlertOutcome::Unrouted(alert) = outcome(&report) else { panic!("{report:?}") };
    assert_eq!(alert.severity, AlertSeverity::Medium);
    assert_eq!(alert.reasons[0].evidence, "/tmp/no such file/x lies in /tmp");
    assert_eq!(alert.unasked, ["known-bad"], "nobody can know about its digest");
    assert_eq!(coordinator.statistics().alerts.unrouted, 1);
}

#[tokio::test]
async fn an_executable_of_a_container_is_not_taken_for_ours() {
    let event = ProcessEvent {
        executable_path: Some(Text::from("/bin/sh")),
        container_id: Some("c0ffee".into()),
        ..ProcessEvent::default()
    };
    let coordinator = AnalysisChainCoordinator::new(AnalysisChainConfig::default()).unwrap();
    let subject = AnalysisSubject::event(CollectionEvent::Process(event));
    let report = coordinator.execute_workflow(whole_chain().with_subject(subject)).await.unwrap();
    let Some(AnalysisOutput::Enriched(Enrichment::NotHashed(error))) = report.output("enrichment") else {
        panic!("{report:?}")
    };
    assert!(error.to_string().starts_with("\"/bin/sh\" was seen in a container"), "{error}");
    assert_eq!(coordinator.statistics().hasher.requests, 0);
}

#[tokio::test]
async fn nothing_to_look_at_is_nothing_to_alert() {
    let coordinator = AnalysisChainCoordinator::new(AnalysisChainConfig::default()).unwrap();
    let report = coordinator.execute_workflow(whole_chain()).await.unwrap();
    assert_eq!(*outcome(&report), AlertOutcome::NotNeeded);
    assert!(matches!(report.output("enrichment"), Some(AnalysisOutput::Enriched(Enrichment::NoFile))));

    let alone = AnalysisWorkflowDefinition::new().with_stage(AnalysisStage::Alerting);
    let error = coordinator.execute_workflow(alone).await.unwrap_err();
    assert!(error.to_string().contains("no stage before this one gave the output of detection"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_full_sink_is_tried_again_and_a_closed_one_is_not() {
    let (tx, mut alerts) = mpsc::channel(1);
    let config = AnalysisChainConfig::default().with_retries(1, SECOND, SECOND);
    let coordinator = AnalysisChainCoordinator::with_alert_sink(config, tx).unwrap();
    let workflow = || {
        AnalysisWorkflowDefinition::new()
            .with_stage(AnalysisStage::Detection)
            .with_stage(AnalysisStage::Alerting)
            .with_subject(exec_of("/dev/shm/x"))
    };
    coordinator.execute_workflow(workflow()).await.unwrap();
    let error = coordinator.execute_workflow(workflow()).await.unwrap_err();
    assert!(error.to_string().contains("1 others wait to be taken"), "{error}");
    let handle = coordinator.submit(workflow()).unwrap();
    seen(&handle, |report| report.stages[1].error.is_some()).await;
    let first = alerts.recv().await.unwrap().id;
    assert!(first.ends_with("-analysis-1/alerting"), "{first}");
    assert_eq!(ended(&handle).await.state, WorkflowState::Completed);
    let third = alerts.recv().await.unwrap().id;
    assert_eq!(third, first.replace("-1/", "-3/"), "one coordinator, one prefix");
    drop(alerts);
    let error = coordinator.execute_workflow(workflow()).await.unwrap_err();
    assert!(error.to_string().contains("gone (attempt 1)"), "{error}");
    let AlertStatistics { attempts, delivered, refused, unrouted } = coordinator.statistics().alerts;
    assert_eq!((attempts, delivered, refused, unrouted), (6, 2, 4, 0));
}

#[tokio::test]
async fn a_trigger_has_its_target_hashed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x");
    std::fs::write(&path, "abc").unwrap();
    let request = TriggerRequest {
        trigger_id: "t".to_owned(),
        target_collector: "binary-hasher".to_owned(),
        analysis_type: AnalysisType::BinaryHash,
        priority: TriggerPriority::Critical,
        target_path: Some(path.to_str().unwrap().to_owned()),
        correlation_id: "c".to_owned(),
        metadata: [("rule".to_owned(), "r".to_owned())].into(),
        timestamp: SystemTime::now(),
        ..TriggerRequest::default()
    };
    let coordinator = AnalysisChainCoordinator::new(AnalysisChainConfig::default()).unwrap();
    let workflow = AnalysisWorkflowDefinition::for_trigger(request.clone());
    let report = coordinator.execute_workflow(workflow).await.unwrap();
    assert_eq!((&*report.correlation_id, &*report.stages[0].analyzer), ("c", "binary-hasher"));
    let Some(AnalysisOutput::Hashes(digests)) = report.output("binary_hash") else { panic!("{report:?}") };
    assert!(digests.sha256.to_string().starts_with("ba7816bf"));

    let nowhere = TriggerRequest { target_path: None, ..request };
    let error =
        coordinator.execute_workflow(AnalysisWorkflowDefinition::for_trigger(nowhere)).await.unwrap_err();
    assert!(error.to_string().contains("the subject names no file"), "{error}");
}
