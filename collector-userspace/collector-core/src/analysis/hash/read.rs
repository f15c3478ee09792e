//! The loop that reads and hashes, under limits.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use sha2::Digest as _;
use tokio_util::sync::CancellationToken;

use super::digest::Digest;

/// When to stop.
#[derive(Debug)]
pub(super) struct Limits<'a> {
    /// Bytes that were promised; one more is a change.
    pub(super) size: u64,
    pub(super) chunk_size: usize,
    pub(super) started: Instant,
    pub(super) time_limit: Duration,
    pub(super) cancel: &'a CancellationToken,
}

/// Why the loop ended without digests.
#[derive(Debug)]
pub(super) enum Interrupted {
    Cancelled,
    TimedOut,
    /// More or fewer bytes than promised.
    Resized,
    Io(io::Error),
}

/// Reads to the end and returns SHA-256 and BLAKE3.
pub(super) fn digest(mut from: impl Read, limits: &Limits<'_>) -> Result<(Digest, Digest), Interrupted> {
    let mut sha256 = sha2::Sha256::new();
    let mut blake3 = blake3::Hasher::new();
    // Small files need no large buffer; one byte more than promised shows that the file grows.
    let room = usize::try_from(limits.size.saturating_add(1)).unwrap_or(usize::MAX);
    let mut buffer = vec![0; limits.chunk_size.clamp(1, room)];
    let mut total = 0_u64;
    loop {
        if limits.cancel.is_cancelled() {
            return Err(Interrupted::Cancelled);
        }
        if limits.started.elapsed() > limits.time_limit {
            return Err(Interrupted::TimedOut);
        }
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Interrupted::Io(error)),
        };
        total = total.saturating_add(count as u64);
        if total > limits.size {
            return Err(Interrupted::Resized);
        }
        let Some(chunk) = buffer.get(..count) else { break };
        sha256.update(chunk);
        blake3.update(chunk);
    }
    if total != limits.size {
        return Err(Interrupted::Resized);
    }
    Ok((Digest::from_bytes(sha256.finalize().into()), Digest::from_bytes(*blake3.finalize().as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that does something before each chunk of zeros.
    struct Zeros<F>(u64, F);

    impl<F: FnMut()> Read for Zeros<F> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            (self.1)();
            let count = buffer.len().min(usize::try_from(self.0).unwrap_or(usize::MAX));
            self.0 -= count as u64;
            Ok(count)
        }
    }

    fn run(
        size: u64,
        length: u64,
        limit: Duration,
        before: impl FnMut(),
        cancel: &CancellationToken,
    ) -> String {
        let limits = Limits { size, chunk_size: 1000, started: Instant::now(), time_limit: limit, cancel };
        match digest(Zeros(length, before), &limits) {
            Ok((sha256, _)) => sha256.to_string()[..8].to_owned(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn the_loop_ends_at_cancellation_limit_and_change_of_size() {
        let (day, cancel) = (Duration::from_secs(86400), CancellationToken::new());
        let mut chunks = 0;
        assert_eq!(run(0, 0, day, || (), &cancel), "e3b0c442");
        assert_eq!(run(5000, 5001, day, || (), &cancel), "Resized");
        assert_eq!(run(5000, 4999, day, || (), &cancel), "Resized");
        assert_eq!(run(5000, 5000, Duration::ZERO, || (), &cancel), "TimedOut");
        let mut reads = 0;
        assert_eq!(run(5000, 1_000_000, day, || reads += 1, &cancel), "Resized");
        assert_eq!(reads, 6, "a file that grows is not read for as long as it does");
        let stop = || {
            chunks += 1;
            if chunks == 2 {
                cancel.cancel();
            }
        };
        assert_eq!(run(5000, 5000, day, stop, &cancel), "Cancelled");
        assert_eq!(chunks, 2, "nothing is read after the cancellation");
    }
}
