//! Process events.

mod arguments;
mod exec;
mod identity;
mod life;

use collector_common::Domain;
use collector_tests::{Actor, Trace, watch_with};

/// Watches the process domain alone: fewer programs to load.
fn watch(actor: Actor) -> Trace {
    watch_with(actor, |config| config.retain_domains(&[Domain::Process]))
}
