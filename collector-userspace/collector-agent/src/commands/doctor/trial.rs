//! What a run would capture, tried out: a kernel may refuse a program of which nothing but trying tells.

use collector_sources::KernelConfig;
use collector_sources::features::Probed;
use collector_sources::object::Object;
use collector_sources::plan::{IDENTITY, Limits, plan};
use collector_sources::rehearse;

use crate::capture::{PlannedKind, describe, kinds_of};
use crate::config::Capture;

/// How the kinds that the configuration asks for fare. Loads the kernel programs, attaches none and drops them.
pub(super) fn kinds(capture: &Capture, probed: &Probed) -> Vec<PlannedKind> {
    let (kinds, tier) = (kinds_of(&capture.sources), capture.tier.forced());
    let limits = Limits { tier, ..Limits::default() };
    let planned = plan(&probed.features, &probed.offsets, kinds | IDENTITY, &limits);
    if !Object::for_kernel(&probed.features).value.is_embedded() {
        return describe(&planned, kinds);
    }
    match rehearse(&KernelConfig { kinds, tier, ..KernelConfig::default() }, probed) {
        Ok(tried) => describe(&tried, kinds),
        Err(error) => describe(&planned, kinds)
            .into_iter()
            .map(|PlannedKind { kind, .. }| {
                let lacks = vec![error.to_string()];
                PlannedKind { kind, lacks, ..PlannedKind::default() }
            })
            .collect(),
    }
}
