//! SHA-256 and BLAKE3 of files, under limits.
//!
//! A file is opened once, checked through the descriptor, read in chunks on a blocking thread, and checked again. Only
//! the last part of the path is kept from being a link; who may name paths for others decides about the rest. The path
//! is resolved in the mount namespace of the caller.
//!
//! What a file system does not tell, this does not see: writes through a shared mapping move the times only when the
//! pages are written back, so such a write during the reading can go unnoticed.

mod analyzer;
mod cache;
mod config;
mod digest;
mod error;
mod file;
mod read;
#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

pub use analyzer::BinaryHashAnalyzer;
pub use config::HasherConfig;
pub use digest::{Digest, DigestError};
pub use error::HashError;

use self::cache::Cache;
use self::config::STUCK;
use self::read::{Interrupted, Limits};
use super::AnalysisConfigError;

/// Digests of one content of one file, and what the file was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileDigests {
    /// SHA-256 of the content.
    pub sha256: Digest,
    /// BLAKE3 of the content.
    pub blake3: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    /// When the content was last modified, as the file system says.
    pub modified: Option<SystemTime>,
    /// Device and inode, on Unix: they tell whether this is the file that another event speaks of.
    pub inode: Option<(u64, u64)>,
}

/// Counters of a hasher since it was made. `requests = hits + misses + refused + running`, where refused requests
/// failed before the cache was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HasherStatistics {
    /// Calls of [`hash`](BinaryHasher::hash).
    pub requests: u64,
    /// Answered from the cache, without reading.
    pub cache_hits: u64,
    /// Not in the cache, so that the file was read.
    pub cache_misses: u64,
    /// Entries the cache gave up for want of room.
    pub cache_evictions: u64,
    /// Files the cache knows at the moment.
    pub cache_entries: usize,
    /// Calls that ended with an error, whichever.
    pub failures: u64,
    /// Bytes hashed, of files that were hashed completely.
    pub bytes_hashed: u64,
}

/// Hashes files. Share one in an [`Arc`]: its limits and its cache are those of all its users.
///
/// ```
/// use collector_core::analysis::{BinaryHasher, CancellationToken, HasherConfig};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hasher = BinaryHasher::new(HasherConfig::default())?;
/// let digests = hasher.hash("Cargo.toml", &CancellationToken::new()).await?;
/// assert_eq!(digests.sha256.to_string().len(), 64);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BinaryHasher {
    inner: Arc<Inner>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Inner {
    config: HasherConfig,
    cache: Mutex<Cache>,
    requests: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
    bytes: AtomicU64,
}

impl BinaryHasher {
    /// A hasher with an empty cache.
    ///
    /// # Errors
    /// The first setting that cannot work.
    pub fn new(config: HasherConfig) -> Result<Self, AnalysisConfigError> {
        config.validate()?;
        Ok(Self {
            turns: Arc::new(Semaphore::new(config.max_concurrent)),
            waiting: AtomicUsize::new(0),
            inner: Arc::new(Inner {
                cache: Mutex::new(Cache::new(config.cache_entries)),
                config,
                requests: AtomicU64::new(0),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
            }),
        })
    }

    /// The digests of a file's content, read now or remembered from a time since which the file has not changed.
    ///
    /// Needs a tokio runtime with time enabled. If the future is dropped the reading stops after the current chunk.
    ///
    /// # Errors
    /// [`HashError`] names the file and says why it has no digest.
    pub async fn hash(
        &self,
        path: impl Into<PathBuf>,
        cancel: &CancellationToken,
    ) -> Result<FileDigests, HashError> {
        let path = path.into();
        self.inner.requests.fetch_add(1, Ordering::Relaxed);
        let result = self.hash_in_turn(&path, cancel).await;
        if result.is_err() {
            self.inner.failures.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// Counters, as of now.
    #[must_use]
    pub fn statistics(&self) -> HasherStatistics {
        let Inner { config: _, cache: _, requests, hits, misses, failures, bytes } = &*self.inner;
        let (cache_evictions, cache_entries) = {
            let cache = self.inner.cache();
            (cache.evictions, cache.len())
        };
        HasherStatistics {
            requests: requests.load(Ordering::Relaxed),
            cache_hits: hits.load(Ordering::Relaxed),
            cache_misses: misses.load(Ordering::Relaxed),
            cache_evictions,
            cache_entries,
            failures: failures.load(Ordering::Relaxed),
            bytes_hashed: bytes.load(Ordering::Relaxed),
        }
    }

    async fn hash_in_turn(&self, path: &Path, cancel: &CancellationToken) -> Result<FileDigests, HashError> {
        let cancelled = || HashError::Cancelled { path: path.to_owned() };
        let turn = self.turn(path, cancel).await?;
        // Cancelled when this future is dropped, so that the thread does not go on for nobody.
        let stop = cancel.child_token();
        let _stop_on_drop = stop.clone().drop_guard();
        let (inner, owned) = (Arc::clone(&self.inner), path.to_owned());
        let limit = self.inner.config.time_limit;
        let work = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, not with the wait for it: threads that are stuck count.
            let _turn = turn;
            inner.hash_now(&owned, &stop)
        });
        // deadline: a thread that is stuck in a file system does not see its time limit.
        let deadline = tokio::time::sleep(limit.saturating_add(STUCK));
        tokio::select! {
            biased;
            done = work => done.unwrap_or_else(|_| Err(cancelled())),
            () = cancel.cancelled() => Err(cancelled()),
            () = deadline => Err(HashError::TimedOut { path: path.to_owned(), limit }),
        }
    }

    async fn turn(&self, path: &Path, cancel: &CancellationToken) -> Result<OwnedSemaphorePermit, HashError> {
        let cancelled = || HashError::Cancelled { path: path.to_owned() };
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(turn);
        }
        let busy = || HashError::Busy { path: path.to_owned() };
        let HasherConfig { max_waiting, time_limit, .. } = self.inner.config;
        let _waits = Waits::begin(&self.waiting, max_waiting).ok_or_else(busy)?;
        tokio::select! {
            turn = Arc::clone(&self.turns).acquire_owned() => turn.map_err(|_| cancelled()),
            () = cancel.cancelled() => Err(cancelled()),
            // Whoever stalls the threads, with a file system of their own, must not keep everybody waiting for ever.
            () = tokio::time::sleep(time_limit) => Err(busy()), // deadline: as said
        }
    }
}

/// A request that waits for a turn, counted as long as it does.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(count: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let more = |waiting: usize| (waiting < limit).then_some(waiting + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(count))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes on this thread.
    fn hash_now(&self, path: &Path, cancel: &CancellationToken) -> Result<FileDigests, HashError> {
        self.hash_watched(path, cancel, || ())
    }

    /// `between` is called when everything has been read, before the second look.
    fn hash_watched(
        &self,
        path: &Path,
        cancel: &CancellationToken,
        between: impl FnOnce(),
    ) -> Result<FileDigests, HashError> {
        let config = &self.config;
        let (started, now) = (Instant::now(), SystemTime::now());
        let (file, facts) = file::open(path)?;
        if facts.size > config.max_file_size {
            let limit = config.max_file_size;
            return Err(HashError::TooLarge { path: path.to_owned(), size: facts.size, limit });
        }
        if let Some(known) = facts.key.and_then(|key| self.cache().find(&key)) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(known);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let limits = Limits {
            size: facts.size,
            chunk_size: config.chunk_size,
            started,
            time_limit: config.time_limit,
            cancel,
        };
        let (sha256, blake3) = read::digest(&file, &limits).map_err(|why| {
            let path = path.to_owned();
            match why {
                Interrupted::Cancelled => HashError::Cancelled { path },
                Interrupted::TimedOut => HashError::TimedOut { path, limit: config.time_limit },
                Interrupted::Resized => HashError::Changed { path },
                Interrupted::Io(error) => HashError::io(&path, &error),
            }
        })?;
        between();
        let after = file::facts_now(&file).map_err(|error| HashError::io(path, &error))?;
        if !facts.same_content(&after) || file::replaced(path, &after) {
            return Err(HashError::Changed { path: path.to_owned() });
        }
        self.bytes.fetch_add(facts.size, Ordering::Relaxed);
        let inode = facts.key.map(|key| (key.device, key.inode));
        let digests = FileDigests { sha256, blake3, size: facts.size, modified: facts.modified, inode };
        if let Some(key) = facts.key
            && facts == after
            && facts.settled(now, config.settle_time)
        {
            self.cache().insert(key, digests.clone());
        }
        Ok(digests)
    }
}
