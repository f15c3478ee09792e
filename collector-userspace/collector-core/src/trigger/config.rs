//! What can be set about triggers.

use std::time::Duration;

use super::error::TriggerError;
use crate::config::duration;

/// How a [`TriggerManager`](super::TriggerManager) behaves. Every default is valid, and every field can be changed alone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TriggerConfig {
    /// Most conditions that may be registered. Default 10,000.
    pub max_conditions: usize,
    /// Most requests that may wait, of all collectors together; a more urgent one takes the place of a less urgent one of the
    /// same collector. Default 1000.
    pub max_pending_triggers: usize,
    /// For how long the same trigger (condition, collector, analysis, process image, path) is not repeated. Default 5 min; 0: it
    /// always is.
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
    /// Parents and children that [`SuspiciousParentChild`](super::ConditionType::SuspiciousParentChild) looks for: a server or an office program that
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

impl TriggerConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`TriggerError::Zero`]: a limit that must not be zero is.
    pub const fn validate(&self) -> Result<(), TriggerError> {
        let field = if self.max_conditions == 0 {
            "max_conditions"
        } else if self.max_pending_triggers == 0 {
            "max_pending_triggers"
        } else if self.max_remembered == 0 {
            "max_remembered"
        } else if self.default_timeout.is_zero() {
            "default_timeout"
        } else if self.ageing.is_zero() {
            "ageing"
        } else {
            return Ok(());
        };
        Err(TriggerError::Zero { field })
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
