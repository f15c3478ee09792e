//! Probing the kernel this runs on, whatever it allows.

use collector_sources::features::{BtfState, Support, probe};
use collector_sources::plan::{Limits, plan};

#[test]
fn probing_answers_consistently_with_and_without_privileges() {
    let probed = probe();
    let features = &probed.features;
    assert!(features.kernel.value.is_some(), "{}", features.kernel.evidence);
    if !matches!(features.btf.value, BtfState::Readable { .. }) {
        assert!(features.tracepoints.is_empty());
        assert!(!features.tp_btf.value.is_supported());
    }
    // Whoever may not load the empty program may not load more.
    if !features.tp_btf.value.is_supported() {
        assert!(!features.current_task.value.is_supported());
        assert!(!features.fetch_atomics.value.is_supported());
    }
    if let Support::Refused { errno } = features.tp_btf.value {
        // Anything else would mean that the probe itself is malformed.
        assert_eq!(errno, libc::EPERM);
    }
    let plan = plan(features, &probed.offsets, u64::MAX, &Limits::default());
    assert_eq!(plan.served() != 0, !plan.attach.is_empty());
    assert!(serde_json::to_string_pretty(features).is_ok());
}
