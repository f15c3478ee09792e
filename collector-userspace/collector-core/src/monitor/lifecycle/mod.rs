//! From successive looks at the processes to what happened to them.

mod change;
mod config;
mod event;
mod remembered;
mod suspicion;
#[cfg(test)]
mod tests;
mod tracker;

pub use change::LifecycleChange;
pub use config::LifecycleTrackingConfig;
pub use event::{LIFECYCLE_KEY, LifecycleEvent};
pub use remembered::RememberedProcess;
pub use suspicion::Suspicion;
pub use tracker::{LifecycleTracker, Look, TrackerCounts};
