//! Triggers: events that ask for an analysis, and the collectors that do it.
//!
//! ```text
//! event ─► conditions ─► seen lately? ─► too many a second? ─► queue per collector ─► handler
//!            │               │                  │                  │  (by priority)     (as many at once as it says,
//!            ▼               ▼                  ▼                  ▼                      for as long as it says)
//!         nothing        counted            counted        counted when full
//! ```
//!
//! A collector that analyses says what it can do ([`TriggerCapabilities`]), conditions name the collector that shall look
//! ([`TriggerCondition`]), and [`TriggerManager::evaluate`] turns events into requests. [`TriggerManager::serve`] does that for
//! everything on a bus, publishes each request there, and runs the handlers.

mod capabilities;
mod chain;
mod condition;
mod conditions;
mod config;
mod direct;
mod error;
mod limits;
mod manager;
mod queue;
mod request;
mod serve;
mod state;
mod statistics;
mod task;
#[cfg(test)]
mod tests;

pub use capabilities::{TriggerCapabilities, TriggerResourceLimits};
pub use chain::ChainHandler;
pub use condition::{ConditionType, TriggerCondition};
pub use config::{SuspiciousPairs, TriggerConfig};
pub use error::TriggerError;
pub use manager::TriggerManager;
pub use serve::{TriggerHandler, TriggerHandlerError};
pub use statistics::{TriggerCounts, TriggerStatistics};
pub use task::TriggerTask;
