//! For the tests of whoever builds on this crate: a conformance kit for event sources, a source that follows a script, and
//! receiving with a deadline. Behind the feature `testing`, meant for dev-dependencies:
//!
//! ```toml
//! [dev-dependencies]
//! collector-core = { version = "…", features = ["testing"] }
//! ```
//!
//! * [`conformance`]: runs an [`EventSource`](crate::EventSource) through what a collector may do to it.
//! * [`ScriptedSource`]: sends given events, then idles, fails, panics, hangs or blocks, as told. For tests of what
//!   subscribes to a collector.
//! * [`collect`] and [`collect_all`]: what a subscription receives, or an error that says what did not come.

mod collect;
pub mod conformance;
mod control;
mod scripted;

pub use collect::{CollectError, collect, collect_all, subscribe};
pub use control::ScriptControl;
pub use scripted::ScriptedSource;
