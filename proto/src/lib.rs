//! Protobuf messages of the collector's socket, as DaemonEye's agent speaks them.
//!
//! `common.proto` and `ipc.proto` beside this crate's manifest are the contract; [`generated`] is made of them by
//! `cargo xtask codegen` and committed, so that building needs no protobuf compiler. What is here by hand is what the
//! generator cannot know.

#[rustfmt::skip]
#[allow(clippy::all, reason = "written by a generator")]
mod generated;

pub use generated::*;

impl DetectionResult {
    /// The answer to a task that was done, with the processes it found.
    #[must_use]
    pub fn success(task_id: &str, processes: Vec<ProcessRecord>) -> Self {
        Self { task_id: task_id.to_owned(), success: true, processes, ..Self::default() }
    }

    /// The answer to a task that was not done, and why.
    #[must_use]
    pub fn failure(task_id: &str, error_message: impl Into<String>) -> Self {
        Self { task_id: task_id.to_owned(), error_message: Some(error_message.into()), ..Self::default() }
    }

    /// What a successful result says about records that did not fit into a frame.
    #[must_use]
    pub fn left_out(&self) -> Option<&str> {
        self.error_message.as_deref().filter(|_| self.success)
    }
}
