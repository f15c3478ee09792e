//! Digests of executables, for events of processes that run them.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use collector_core::ProcessEvent;
use collector_core::analysis::{BinaryHasher, CancellationToken, HashError};
use collector_core::monitor::{LifecycleChange, LifecycleEvent, MonitorCollectorStats};

use crate::identity::image_digest;
use crate::identity::snapshot::Procfs;

/// Hashes executables of processes.
#[derive(Clone, Debug)]
pub(super) struct Hashing {
    pub(super) hasher: Arc<BinaryHasher>,
    pub(super) procfs: Procfs,
    pub(super) stats: Arc<MonitorCollectorStats>,
}

impl Hashing {
    /// Gives the event the digest of the executable, if the change calls for it.
    pub(super) async fn complete(
        &self,
        found: &LifecycleEvent,
        event: &mut ProcessEvent,
        cancel: &CancellationToken,
    ) {
        if !matters(found.change) || event.flags.contains(&"kernel_thread") {
            return;
        }
        let digest = self.digest(event, cancel).await;
        let counter = if digest.is_some() { &self.stats.hashes } else { &self.stats.hash_failures };
        MonitorCollectorStats::add(counter, 1);
        if let Some(digest) = digest {
            event.executable_hash = Some(digest);
            event.hash_algorithm = Some("sha256".to_owned());
        }
    }

    async fn digest(&self, event: &ProcessEvent, cancel: &CancellationToken) -> Option<String> {
        // Without a name there is nothing to open; the digest of what now has the name would be a lie.
        let path = event.executable_path.as_ref().filter(|_| event.file_exists)?;
        // As the process sees it: it may live in a container.
        let relative = path.as_bytes().strip_prefix(b"/")?;
        let root = self.procfs.path(event.pid, "root");
        let path: PathBuf = root.join(Path::new(std::ffi::OsStr::from_bytes(relative)));
        let digests: Result<_, HashError> = self.hasher.hash(path, cancel).await;
        let digests = digests.inspect_err(|error| tracing::debug!(%error, "executable not hashed")).ok()?;
        let (procfs, pid, id) = (self.procfs.clone(), event.pid, event.exec_id?);
        // What was read must be what this image of this process runs: names change hands, and so do pids.
        let runs_it = move || -> io::Result<bool> {
            let file = fs::metadata(procfs.path(pid, "exe"))?;
            let stat = procfs.stat(pid).map_err(|_| io::ErrorKind::NotFound)?;
            let is_same_image =
                stat.start_ticks == id.start_ticks && image_digest(stat.start_stack) == id.image;
            Ok(is_same_image && digests.inode.is_none_or(|inode| inode == (file.dev(), file.ino())))
        };
        let runs_it = tokio::task::spawn_blocking(runs_it).await.ok()?.ok()?;
        runs_it.then(|| digests.sha256.to_string())
    }
}

const fn matters(change: LifecycleChange) -> bool {
    matches!(
        change,
        LifecycleChange::Present
            | LifecycleChange::Started
            | LifecycleChange::PidReused
            | LifecycleChange::Exec
            | LifecycleChange::ExecutableChanged
    )
}
