//! The sources that need no privileges keep what `EventSource` asks of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use collector_core::testing::conformance;
use collector_sources::performance::{PerformanceConfig, PerformanceSource};

#[tokio::test]
async fn the_performance_source_is_as_it_should_be() {
    let config = PerformanceConfig { interval: Duration::from_millis(100), ..PerformanceConfig::default() };
    conformance::check(|| PerformanceSource::new(config).unwrap()).await.assert_conformant();
}
