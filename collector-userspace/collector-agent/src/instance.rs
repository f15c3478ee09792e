//! One agent per runtime directory: a lock that dies with its process.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

const LOCK: &str = "collector.lock";
/// The files of this module in the runtime directory.
pub(crate) const FILES: &[&str] = &[LOCK];

/// Why this process cannot be the agent of the directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InstanceError {
    /// There is one.
    #[error("another collector runs already{}: stop it first, or give this one another --runtime-dir", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Running {
        /// Its process id, if it could be read.
        pid: Option<u32>,
    },
    /// Whoever owns the directory could make this process overwrite something.
    #[error("the runtime directory {} belongs to another user (uid {owner}): name another one with --runtime-dir", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The directory or the lock cannot be used.
    #[error("cannot use the runtime directory {}: {source}", path.display())]
    Unusable { path: PathBuf, source: std::io::Error },
}

/// The lock. Kept as long as the process is the agent.
#[derive(Debug)]
pub(crate) struct Instance {
    _lock: File,
}

impl Instance {
    /// Makes this process the agent of `runtime_dir`.
    pub(crate) fn claim(runtime_dir: &Path) -> Result<Self, InstanceError> {
        let unusable = |source| InstanceError::Unusable { path: runtime_dir.to_owned(), source };
        crate::paths::make_dir(runtime_dir, 0o755).map_err(unusable)?;
        let owner = std::fs::metadata(runtime_dir).map_err(unusable)?.uid();
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(InstanceError::Foreign { path: runtime_dir.to_owned(), owner });
        }
        let path = runtime_dir.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(unusable)?;
        match lock(&file) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(InstanceError::Running { pid: read_pid(&mut file) }),
            Err(errno) => return Err(unusable(errno.into())),
        }
        write_pid(&mut file).map_err(unusable)?;
        Ok(Self { _lock: file })
    }

    /// The process id of the agent of `runtime_dir`, if one runs.
    pub(crate) fn running(runtime_dir: &Path) -> Option<u32> {
        let mut file = File::open(runtime_dir.join(LOCK)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => read_pid(&mut file),
            _ => None,
        }
    }
}

/// Takes the lock. Somebody who only [looks](Instance::running) holds it for a moment, an agent for long.
fn lock(file: &File) -> Result<(), Errno> {
    for _ in 0..5 {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(10)),
            result => return result,
        }
    }
    Err(Errno::WOULDBLOCK)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_agent_is_refused_with_the_pid_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let runtime_dir = directory.path().join("run");
        assert_eq!(Instance::running(&runtime_dir), None);
        let first = Instance::claim(&runtime_dir).unwrap();
        let error = Instance::claim(&runtime_dir).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.starts_with(&format!("another collector runs already (pid {pid})")), "{error}");
        assert_eq!(Instance::running(&runtime_dir), Some(pid));
        drop(first);
        assert_eq!(Instance::running(&runtime_dir), None);
        Instance::claim(&runtime_dir).unwrap();
    }

    #[test]
    fn unusable_directory_is_named() {
        let error = Instance::claim(Path::new("/proc/collector")).unwrap_err().to_string();
        assert!(error.starts_with("cannot use the runtime directory /proc/collector: "), "{error}");
    }
}
