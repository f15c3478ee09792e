//! Settings of the server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::access::{IpcAccess, Role};
use super::codec::MAX_PAYLOAD;
use crate::config::{MAX_DURATION, duration};

/// Where DaemonEye's agent looks for a collector.
pub const DAEMONEYE_SOCKET: &str = "/var/run/daemoneye/procmond.sock";

/// Smallest limit for frames, in bytes: an answer that says why there is no answer has to fit.
pub(super) const MIN_FRAME: usize = 4096;

/// Longest path a socket can have, in bytes: `sun_path` without its final zero.
const SOCKET_PATH_MAX: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// What the socket's first name has more than its directory: it is made in a private directory there.
const FIRST_NAME_LEN: usize = "/.ffffff.f/s".len();

/// How a [`CollectorIpcServer`](super::CollectorIpcServer) behaves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct IpcConfig {
    /// The socket. Its directory is made, for this user alone, if it is missing. Default [`DAEMONEYE_SOCKET`].
    pub socket_path: PathBuf,
    /// Permissions of the socket. Default `0o600`. Whoever may write to it may connect, and is then asked who it is.
    pub mode: u32,
    /// Most clients at one time. Default 64. One more is told so and disconnected.
    pub max_connections: usize,
    /// Longest message in either direction, in bytes. Default 1 MiB, which is also the most.
    pub max_frame: usize,
    /// How long a client may say nothing. Default 6 min: DaemonEye's agent gives up an unused connection after 5.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// Longest time from the first to the last byte of a message. Default 30 s.
    #[serde(with = "duration")]
    pub read_timeout: Duration,
    /// Longest time for a client to take an answer. Default 10 s.
    #[serde(with = "duration")]
    pub write_timeout: Duration,
    /// Longest time a task may take. Default 25 s: DaemonEye's agent waits 30 for the answer, also for one that says this.
    #[serde(with = "duration")]
    pub handler_timeout: Duration,
    /// How long tasks that run at shutdown may take to be answered. Default 5 s.
    #[serde(with = "duration")]
    pub shutdown_timeout: Duration,
    /// Who may do what.
    pub access: IpcAccess,
}

impl Default for IpcConfig {
    fn default() -> Self {
        Self {
            socket_path: DAEMONEYE_SOCKET.into(),
            mode: 0o600,
            max_connections: 64,
            max_frame: MAX_PAYLOAD,
            idle_timeout: Duration::from_mins(6),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
            handler_timeout: Duration::from_secs(25),
            shutdown_timeout: Duration::from_secs(5),
            access: IpcAccess::default(),
        }
    }
}

/// What is wrong with the settings of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IpcConfigError {
    /// A number or duration that must not be zero is.
    #[error("{field} is 0; it must be at least {least}")]
    Zero {
        /// The field.
        field: &'static str,
        /// The smallest sensible value.
        least: &'static str,
    },
    /// A duration is so long that it must be a mistake.
    #[error("{field} is {seconds} s; it may be a year at most")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The value, in seconds.
        seconds: u64,
    },
    /// A limit for frames is out of range.
    #[error("max_frame is {bytes}; it must be {MIN_FRAME} to {MAX_PAYLOAD} bytes")]
    MaxFrame {
        /// The value, in bytes.
        bytes: usize,
    },
    /// The mode is none for a socket.
    #[error("mode is {mode:#o}; it must have 0o600 and nothing outside 0o666")]
    Mode {
        /// The value.
        mode: u32,
    },
    /// The path names no file.
    #[error("socket_path {path:?} does not end in a file name")]
    NoFileName {
        /// The path.
        path: PathBuf,
    },
    /// The path does not fit into the address of a socket.
    #[error(
        "socket_path {path:?} is too long: a socket's path has {SOCKET_PATH_MAX} bytes at most and this has {length}, \
         and its directory {} at most and this has {directory}",
        SOCKET_PATH_MAX - FIRST_NAME_LEN
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length, in bytes.
        length: usize,
        /// Length of its directory, in bytes.
        directory: usize,
    },
}

impl IpcConfig {
    /// The defaults, at another path.
    #[must_use]
    pub fn new(socket_path: impl Into<PathBuf>) -> Self {
        Self { socket_path: socket_path.into(), ..Self::default() }
    }

    /// Sets [`mode`](Self::mode).
    #[must_use]
    pub const fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets [`max_connections`](Self::max_connections).
    #[must_use]
    pub const fn with_max_connections(mut self, count: usize) -> Self {
        self.max_connections = count;
        self
    }

    /// Sets [`max_frame`](Self::max_frame), in bytes.
    #[must_use]
    pub const fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Sets [`idle_timeout`](Self::idle_timeout).
    #[must_use]
    pub const fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets [`read_timeout`](Self::read_timeout).
    #[must_use]
    pub const fn with_read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Sets [`write_timeout`](Self::write_timeout).
    #[must_use]
    pub const fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Sets [`handler_timeout`](Self::handler_timeout).
    #[must_use]
    pub const fn with_handler_timeout(mut self, timeout: Duration) -> Self {
        self.handler_timeout = timeout;
        self
    }

    /// Sets [`shutdown_timeout`](Self::shutdown_timeout).
    #[must_use]
    pub const fn with_shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Gives a user a role in [`access`](Self::access).
    #[must_use]
    pub fn with_uid(mut self, uid: u32, role: Role) -> Self {
        self.access = self.access.with_uid(uid, role);
        self
    }

    /// Gives a group a role in [`access`](Self::access).
    #[must_use]
    pub fn with_gid(mut self, gid: u32, role: Role) -> Self {
        self.access = self.access.with_gid(gid, role);
        self
    }

    /// Checks the whole configuration.
    ///
    /// # Errors
    /// The first field that cannot work, and why.
    pub fn validate(&self) -> Result<(), IpcConfigError> {
        let Self {
            socket_path,
            mode,
            max_connections,
            max_frame,
            idle_timeout,
            read_timeout,
            write_timeout,
            handler_timeout,
            shutdown_timeout,
            access: _,
        } = self;
        check_path(socket_path)?;
        if mode & 0o600 != 0o600 || mode & !0o666 != 0 {
            return Err(IpcConfigError::Mode { mode: *mode });
        }
        if *max_connections == 0 {
            return Err(IpcConfigError::Zero { field: "max_connections", least: "1" });
        }
        if !(MIN_FRAME..=MAX_PAYLOAD).contains(max_frame) {
            return Err(IpcConfigError::MaxFrame { bytes: *max_frame });
        }
        let durations = [
            ("idle_timeout", idle_timeout),
            ("read_timeout", read_timeout),
            ("write_timeout", write_timeout),
            ("handler_timeout", handler_timeout),
            ("shutdown_timeout", shutdown_timeout),
        ];
        for (field, duration) in durations {
            if duration.is_zero() {
                return Err(IpcConfigError::Zero { field, least: "1ms" });
            }
            if *duration > MAX_DURATION {
                return Err(IpcConfigError::TooLong { field, seconds: duration.as_secs() });
            }
        }
        Ok(())
    }
}

fn check_path(path: &Path) -> Result<(), IpcConfigError> {
    if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(IpcConfigError::NoFileName { path: path.to_owned() });
    }
    let directory = path.parent().map_or(0, |directory| directory.as_os_str().len());
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_MAX || directory + FIRST_NAME_LEN > SOCKET_PATH_MAX {
        return Err(IpcConfigError::PathTooLong { path: path.to_owned(), length, directory });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        let config = || IpcConfig::new("/run/x.sock");
        config().validate().unwrap();
        IpcConfig::default().validate().unwrap();
        for (config, message) in [
            (config().with_max_connections(0), "max_connections is 0; it must be at least 1"),
            (config().with_max_frame(4095), "max_frame is 4095; it must be 4096 to 1048576 bytes"),
            (config().with_max_frame(1 << 21), "max_frame is 2097152"),
            (config().with_mode(0o777), "mode is 0o777; it must have 0o600 and nothing outside 0o666"),
            (config().with_mode(0o066), "mode is 0o66;"),
            (config().with_idle_timeout(Duration::ZERO), "idle_timeout is 0; it must be at least 1ms"),
            (config().with_handler_timeout(Duration::MAX), "handler_timeout is 18446744073709551615 s"),
            (IpcConfig::new(""), "socket_path \"\" does not end in a file name"),
            (IpcConfig::new("/run/"), "socket_path \"/run/\" does not end in a file name"),
            (IpcConfig::new("/run/.."), "socket_path \"/run/..\" does not end in a file name"),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(message), "{error} for {message}");
        }
    }

    #[test]
    fn paths_are_as_long_as_sockets_allow() {
        let path = |directory: usize, name: usize| {
            IpcConfig::new(format!("/{}/{}", "d".repeat(directory - 1), "n".repeat(name))).validate()
        };
        assert_eq!((path(90, SOCKET_PATH_MAX - 91), path(SOCKET_PATH_MAX - 12, 1)), (Ok(()), Ok(())));
        for (directory, name) in [(90, SOCKET_PATH_MAX - 90), (SOCKET_PATH_MAX - 11, 1)] {
            let error = path(directory, name).unwrap_err().to_string();
            assert!(error.contains(&format!("and this has {}", directory + 1 + name)), "{error}");
            assert!(error.ends_with(&format!("and this has {directory}")), "{error}");
        }
    }

    #[test]
    fn a_configuration_survives_being_written_and_read() {
        let config = IpcConfig::new("/run/x.sock").with_uid(1, Role::Reader).with_gid(2, Role::Operator);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<IpcConfig>(&text).unwrap(), config);
        assert!(serde_json::from_str::<IpcConfig>(r#"{"socket":"/x"}"#).is_err());
    }
}
