//! The event store: SQLite, one writer, any number of readers.
//!
//! * [`StoreWriter`] is the store's side of the event bus: a thread of its own that takes events in batches and writes each
//!   batch in one transaction. It outlives every failure of the disk; what it could not write it counts, by reason, and
//!   says in the database itself once it can write again.
//! * [`query()`] and [`query_each`] read, with SQL, while the writer writes. They cannot change anything, whatever the statement.
//! * [`Database`] is the writer's tool: open, append, retain.
//! * [`DatabaseManager`] is a database that monitors write themselves, with what they remember.
//!
//! The schema is in [`schema`]. Nothing here knows where events come from.

mod authorizer;
mod config;
mod database;
mod error;
mod manager;
mod query;
pub mod quote;
mod row;
pub mod schema;
mod stats;
mod writer;

pub use config::StoreConfig;
pub use database::{Database, Retention};
pub use error::{LossReason, StoreError};
pub use manager::DatabaseManager;
pub use query::{Cancel, Limits, QueryError, Rows, Value, query, query_each};
pub use stats::StoreStats;
pub use writer::{StoreHandle, StoreWriter};
