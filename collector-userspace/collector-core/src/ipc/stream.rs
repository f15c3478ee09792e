//! Frames over a stream, in time.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::codec::{FrameDecoder, FrameError, encode_frame};

/// Bytes read at a time.
const CHUNK_LEN: usize = 8 * 1024;

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// Nothing came in time.
    #[error("nothing came in time")]
    Idle,
    /// The frame was not complete in time.
    #[error("a frame was not complete in time")]
    Slow,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads frames. It never reads further than a chunk ahead, so whoever sends faster than is read has to wait.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    io: R,
    decoder: FrameDecoder,
    chunk: Box<[u8]>,
    /// What of the chunk has not been decoded.
    start: usize,
    end: usize,
    /// When the frame that has begun must be complete.
    deadline: Option<Instant>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(io: R, max_payload: usize) -> Self {
        let chunk = vec![0; CHUNK_LEN].into_boxed_slice();
        Self { io, decoder: FrameDecoder::new(max_payload), chunk, start: 0, end: 0, deadline: None }
    }

    /// The next payload, or `None` at the end of the stream. It may take `idle` until a frame begins, and from there `whole`
    /// until it is complete. A future that is dropped has lost nothing.
    pub(super) async fn next(
        &mut self,
        idle: Duration,
        whole: Duration,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let idle_deadline = Instant::now() + idle;
        loop {
            let mut input = self.chunk.get(self.start..self.end).unwrap_or_default();
            let decoded = self.decoder.decode(&mut input);
            self.start = self.end - input.len();
            if let Some(payload) = decoded? {
                self.deadline = None;
                return Ok(Some(payload));
            }
            if self.decoder.is_between_frames() {
                self.deadline = None;
            } else if self.deadline.is_none() {
                self.deadline = Some(Instant::now() + whole);
            }
            let read = timeout_at(self.deadline.unwrap_or(idle_deadline), self.io.read(&mut self.chunk));
            let Ok(count) = read.await else {
                return Err(if self.deadline.is_some() { ReadError::Slow } else { ReadError::Idle });
            };
            (self.start, self.end) = (0, count?);
            if self.end == 0 {
                self.decoder.finish()?;
                return Ok(None);
            }
        }
    }
}

/// Why a frame could not be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the other side did not take a frame in time")]
    Slow,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Sends a frame. After an error, part of it may have been sent.
pub(super) async fn write_frame(
    io: &mut (impl AsyncWrite + Unpin),
    payload: &[u8],
    max_payload: usize,
    patience: Duration,
) -> Result<(), WriteError> {
    let frame = encode_frame(payload, max_payload)?;
    timeout(patience, io.write_all(&frame)).await.map_err(|_| WriteError::Slow)??;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What a reader makes of these bytes when they come one by one, this far apart, and then the stream stays open.
    async fn read(bytes: &[u8], apart: Duration) -> Result<Option<Vec<u8>>, ReadError> {
        let (mut near, far) = tokio::io::duplex(64);
        let bytes = bytes.to_vec();
        let sender = tokio::spawn(async move {
            for byte in bytes {
                // deadline: time is paused, and passes when nobody has anything else to do
                tokio::time::sleep(apart).await;
                near.write_all(&[byte]).await.unwrap();
            }
            near
        });
        let result = FrameReader::new(far, 100).next(5 * SECOND, 10 * SECOND).await;
        sender.abort();
        result
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_slowness_have_limits_of_their_own() {
        let frame = encode_frame(b"hello", 100).unwrap();
        assert_eq!(read(&frame, SECOND / 2).await.unwrap().as_deref(), Some(&b"hello"[..]));
        assert!(matches!(read(&frame, SECOND).await, Err(ReadError::Slow)), "13 s from first to last byte");
        assert!(matches!(read(b"", SECOND).await, Err(ReadError::Idle)));
        assert!(matches!(read(&frame, 6 * SECOND).await, Err(ReadError::Idle)));
    }

    #[tokio::test]
    async fn frames_that_came_together_are_read_one_by_one() {
        let (mut near, far) = tokio::io::duplex(1024);
        let frames = [encode_frame(b"one", 100).unwrap(), encode_frame(b"two", 100).unwrap()].concat();
        near.write_all(&frames).await.unwrap();
        drop(near);
        let mut reader = FrameReader::new(far, 100);
        for expected in [Some(b"one".to_vec()), Some(b"two".to_vec()), None] {
            assert_eq!(reader.next(SECOND, SECOND).await.unwrap(), expected);
        }
    }
}
