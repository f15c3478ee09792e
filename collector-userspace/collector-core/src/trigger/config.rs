//! What can be set about triggers, and what a collector that analyses says of itself.

use std::time::Duration;

use crate::config::duration;
use crate::event::{AnalysisType, TriggerPriority};

use super::condition::ConditionType;

/// How a [`TriggerManager`](super::TriggerManager) behaves. Every default is valid, and every field can be changed alone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TriggerConfig {
    /// Most conditions that may be registered. Default 10,000.
    pub max_conditions: usize,
    /// Most requests that may wait, of all collectors together. Default 1000.
    pub max_pending_triggers: usize,
    /// For how long the same trigger (collector, analysis, process image, path) is not repeated. Default 5 min; 0: it always is.
    #[serde(with = "duration")]
    pub deduplication_window: Duration,
    /// Most triggers that are remembered for that; beyond it the oldest are forgotten early. Default 10,000.
    pub max_remembered: usize,
    /// How long a request may wait for its collector before it is given up. Default 30 s.
    #[serde(with = "duration")]
    pub default_timeout: Duration,
    /// After how long a waiting request ranks like the next higher priority. Default 10 s.
    #[serde(with = "duration")]
    pub ageing: Duration,
    /// Parents and children that [`ConditionType::SuspiciousParentChild`] looks for: a server or an office program that
    /// starts a shell or a downloader.
    pub suspicious: SuspiciousPairs,
}

impl Default for TriggerConfig {
    fn default() -> Self {
        Self {
            max_conditions: 10_000,
            max_pending_triggers: 1000,
            deduplication_window: Duration::from_secs(300),
            max_remembered: 10_000,
            default_timeout: Duration::from_secs(30),
            ageing: Duration::from_secs(10),
            suspicious: SuspiciousPairs::default(),
        }
    }
}

/// Names of programs, as the kernel has them (`comm`, at most 15 bytes): any of `parents` that starts any of `children`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SuspiciousPairs {
    /// Names of parents.
    pub parents: Vec<String>,
    /// Names of children.
    pub children: Vec<String>,
}

impl Default for SuspiciousPairs {
    fn default() -> Self {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Self {
            parents: words(
                "apache2 httpd nginx lighttpd caddy php-fpm uwsgi gunicorn tomcat java node mysqld mariadbd postgres \
                 redis-server mongod memcached named smbd vsftpd proftpd exim4 postfix soffice.bin evince",
            ),
            children: words("sh bash dash zsh ksh csh tcsh fish busybox nc ncat netcat socat curl wget"),
        }
    }
}

/// What one analysis may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerResourceLimits {
    /// Bytes of memory; told to the handler, which has to keep to it. Default 100 MiB.
    pub max_memory_per_task: u64,
    /// Milliseconds after which the analysis is abandoned. Default 30,000.
    pub max_analysis_time_ms: u64,
    /// Requests that may wait for this collector. Default 1000.
    pub max_queue_depth: usize,
}

impl Default for TriggerResourceLimits {
    fn default() -> Self {
        Self { max_memory_per_task: 100 << 20, max_analysis_time_ms: 30_000, max_queue_depth: 1000 }
    }
}

/// What a collector that analyses can do, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerCapabilities {
    /// Its id; conditions name it as their target.
    pub collector_id: String,
    /// Kinds of conditions it takes triggers from. Only the kind counts, not what is in it.
    pub supported_conditions: Vec<ConditionType>,
    /// Analyses it can do.
    pub supported_analysis: Vec<AnalysisType>,
    /// Most triggers a second; what is beyond is dropped and counted.
    pub max_trigger_rate: u32,
    /// Most analyses at the same time.
    pub max_concurrent_analysis: u32,
    /// Priorities it takes.
    pub supported_priorities: Vec<TriggerPriority>,
    /// What one analysis may take.
    pub resource_limits: TriggerResourceLimits,
}
