//! The hasher against files of every kind, on Unix.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use super::*;

/// Longer than anything here takes; only reached by a failing test.
const AGES: Duration = Duration::from_secs(30);

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn hasher(config: HasherConfig) -> BinaryHasher {
    BinaryHasher::new(config).unwrap()
}

/// Remembers files however fresh they are.
fn config() -> HasherConfig {
    HasherConfig::default().with_settle_time(Duration::ZERO)
}

async fn hash(hasher: &BinaryHasher, path: &Path) -> Result<FileDigests, HashError> {
    let never = CancellationToken::new();
    tokio::time::timeout(AGES, hasher.hash(path, &never)).await.expect("it must not hang")
}

#[tokio::test]
async fn known_content_has_the_known_digests() {
    let (place, hasher) = (Place::new(), hasher(config().with_chunk_size(7)));
    let cases = [
        (
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ),
        (
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        ),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            "c19012cc2aaf0dc3d8e5c45a1b79114d2df42abb2a410bf54be09e891af06ff8",
        ),
    ];
    for (content, sha256, blake3) in cases {
        let path = place.file("file", content);
        let digests = hash(&hasher, &path).await.unwrap();
        assert_eq!((&*digests.sha256.to_string(), &*digests.blake3.to_string()), (sha256, blake3));
        assert_eq!(digests.size, content.len() as u64);
        assert!(digests.modified.is_some() && digests.inode.is_some());
    }
}

#[tokio::test]
async fn whatever_is_no_regular_file_is_refused_at_once() {
    let (place, hasher) = (Place::new(), hasher(config()));
    rustix::fs::mkfifoat(rustix::fs::CWD, place.path("fifo"), rustix::fs::Mode::RUSR).unwrap();
    symlink(place.file("file", "abc"), place.path("link")).unwrap();
    symlink("nowhere", place.path("broken")).unwrap();
    let _socket = UnixListener::bind(place.path("socket")).unwrap();
    let cases = [
        (place.path("fifo"), "fifo"),
        (place.path("link"), "symbolic link"),
        (place.path("broken"), "symbolic link"),
        (place.path("socket"), "socket"),
        (place.path("."), "directory"),
        ("/dev/null".into(), "device"),
    ];
    for (path, kind) in cases {
        assert_eq!(hash(&hasher, &path).await, Err(HashError::NotRegular { path, kind }));
    }
    let path = place.path("missing");
    assert_eq!(hash(&hasher, &path).await, Err(HashError::NotFound { path }));
    let path = place.path("file/below");
    assert!(matches!(hash(&hasher, &path).await, Err(HashError::Io { .. })));
    let statistics = hasher.statistics();
    assert_eq!((statistics.requests, statistics.failures, statistics.cache_misses), (8, 8, 0));
}

#[test]
fn a_fifo_or_link_that_takes_the_place_of_a_file_does_not_get_opened_as_one() {
    // What `open` does after its first look, which a quick enough attacker makes worthless.
    let place = Place::new();
    let fifo = place.path("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    let (tx, opened) = std_mpsc::channel();
    std::thread::spawn(move || tx.send(file::open_flags().open(fifo).unwrap().metadata().unwrap().is_file()));
    assert_eq!(opened.recv_timeout(AGES), Ok(false), "opening a fifo must not wait for a writer");
    symlink(place.file("file", "abc"), place.path("link")).unwrap();
    assert!(file::open_flags().open(place.path("link")).is_err());
}

#[tokio::test]
async fn a_file_over_the_limit_is_not_read() {
    let (place, hasher) = (Place::new(), hasher(config().with_max_file_size(1 << 20)));
    let path = place.path("big");
    // Sparse, so that it costs nothing.
    File::create(&path).unwrap().set_len((1 << 20) + 1).unwrap();
    let error = hash(&hasher, &path).await.unwrap_err();
    assert_eq!(error, HashError::TooLarge { path: path.clone(), size: (1 << 20) + 1, limit: 1 << 20 });
    assert_eq!(hasher.statistics().cache_misses, 0);
    File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    assert_eq!(hash(&hasher, &path).await.unwrap().size, 1 << 20);
}

/// Hashes a file to which `between` happens when it has been read.
fn meanwhile(between: impl FnOnce(&Path)) -> Result<FileDigests, HashError> {
    let (place, hasher) = (Place::new(), hasher(config()));
    let path = place.file("file", "abc");
    // Old enough that a later change shows, whatever the grain of the file system's time.
    let long_ago = SystemTime::now() - Duration::from_secs(1000);
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    let result = hasher.inner.hash_watched(&path, &CancellationToken::new(), || between(&path));
    assert_eq!(hasher.statistics().cache_entries, usize::from(result.is_ok() && path.exists()));
    result
}

#[test]
fn a_file_that_changes_while_it_is_read_has_no_digest() {
    let changed = |result| assert!(matches!(result, Err(HashError::Changed { .. })), "{result:?}");
    assert!(meanwhile(|_| ()).is_ok());
    changed(meanwhile(|path| fs::write(path, "abd").unwrap()));
    changed(meanwhile(|path| {
        File::options().append(true).open(path).unwrap().write_all(b"d").unwrap();
    }));
    changed(meanwhile(|path| {
        // Another file of the same content takes its place.
        fs::write(path.with_extension("new"), "abc").unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    }));
}

#[test]
fn a_file_that_is_deleted_while_it_is_read_has_its_digest() {
    let digests = meanwhile(|path| fs::remove_file(path).unwrap()).unwrap();
    assert!(digests.sha256.to_string().starts_with("ba7816bf"));
}

#[test]
fn setting_the_time_back_does_not_hide_a_change() {
    let place = Place::new();
    let path = place.file("file", "abc");
    let (file, before) = file::open(&path).unwrap();
    let modified = before.modified.unwrap();
    let deadline = Instant::now() + AGES;
    // The change time moves once the file system's clock has ticked.
    loop {
        fs::write(&path, "abd").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        let after = file::facts_now(&file).unwrap();
        assert_eq!((after.size, after.modified), (before.size, before.modified));
        if !before.same_content(&after) {
            return;
        }
        assert!(Instant::now() < deadline, "the change never shows");
    }
}

#[tokio::test]
async fn an_unchanged_file_is_not_read_again() {
    let (place, hasher) = (Place::new(), hasher(config().with_cache_entries(2)));
    let counts = |hasher: &BinaryHasher| {
        let HasherStatistics {
            cache_hits, cache_misses, cache_evictions, cache_entries, bytes_hashed, ..
        } = hasher.statistics();
        (cache_hits, cache_misses, cache_evictions, cache_entries, bytes_hashed)
    };
    let [a, b, c] = ["a", "bb", "ccc"].map(|content| place.file(content, content));
    let first = hash(&hasher, &a).await.unwrap();
    assert_eq!(hash(&hasher, &a).await.unwrap(), first);
    assert_eq!(counts(&hasher), (1, 1, 0, 1, 1));
    hash(&hasher, &b).await.unwrap();
    hash(&hasher, &a).await.unwrap();
    hash(&hasher, &c).await.unwrap();
    assert_eq!(counts(&hasher), (2, 3, 1, 2, 6), "b was used least recently and went");
    hash(&hasher, &a).await.unwrap();
    hash(&hasher, &b).await.unwrap();
    assert_eq!(counts(&hasher), (3, 4, 2, 2, 8));

    fs::write(&a, "another content").unwrap();
    assert_ne!(hash(&hasher, &a).await.unwrap(), first);
    // A name more is another change time, so it is read again, but the digests are the same.
    fs::remove_file(&b).unwrap();
    assert!(hash(&hasher, &b).await.is_err(), "what is remembered does not stand in for a file that is gone");
}

#[tokio::test]
async fn a_file_that_has_just_changed_is_not_remembered() {
    let (place, hasher) = (Place::new(), hasher(config().with_settle_time(AGES)));
    let path = place.file("file", "abc");
    hash(&hasher, &path).await.unwrap();
    hash(&hasher, &path).await.unwrap();
    assert_eq!((hasher.statistics().cache_hits, hasher.statistics().cache_entries), (0, 0));
}

#[tokio::test]
async fn requests_wait_for_their_turn_up_to_a_number() {
    let (place, hasher) = (Place::new(), hasher(config().with_max_concurrent(1).with_max_waiting(1)));
    let path = place.file("file", "abc");
    let turn = Arc::clone(&hasher.turns).try_acquire_owned().unwrap();
    let cancel = CancellationToken::new();
    let mut waits = std::pin::pin!(hasher.hash(&path, &cancel));
    assert!(futures_ready(waits.as_mut()).await.is_none());
    assert_eq!(hash(&hasher, &path).await, Err(HashError::Busy { path: path.clone() }));
    cancel.cancel();
    let cancelled = tokio::time::timeout(AGES, waits).await.unwrap();
    assert_eq!(cancelled, Err(HashError::Cancelled { path: path.clone() }));
    let again = CancellationToken::new();
    let mut waits = std::pin::pin!(hasher.hash(&path, &again));
    assert!(futures_ready(waits.as_mut()).await.is_none(), "the one that gave up has made room");
    drop(turn);
    assert!(waits.await.is_ok());
    let cancelled = hasher.hash(&path, &cancel).await;
    assert_eq!(cancelled, Err(HashError::Cancelled { path: path.clone() }));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_turn_ends() {
    let (place, hasher) = (Place::new(), hasher(config().with_max_concurrent(1)));
    let path = place.file("file", "abc");
    let stalled = Arc::clone(&hasher.turns).try_acquire_owned().unwrap();
    let since = tokio::time::Instant::now();
    let error = hash(&hasher, &path).await.unwrap_err();
    assert_eq!((error.is_transient(), since.elapsed().as_secs()), (true, 10));
    assert_eq!(error, HashError::Busy { path: path.clone() });
    drop(stalled);
    assert!(hash(&hasher, &path).await.is_ok());
}

/// Polls once.
async fn futures_ready<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
