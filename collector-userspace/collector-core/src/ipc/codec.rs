//! Frames: how a message travels over a stream of bytes, in both directions. No I/O happens here.
//!
//! ```text
//!  0        4        8                8 + length
//!  ├────────┼────────┼─────────────────┤
//!  │ length │  CRC   │ payload         │   length: u32, little endian, of the payload, 1 to 1 MiB
//!  └────────┴────────┴─────────────────┘   CRC: u32, little endian, CRC-32C (Castagnoli) of the payload alone
//! ```
//!
//! After a frame that is wrong nothing says where the next one starts, so an error ends the stream.

/// Bytes before the payload.
pub const HEADER_LEN: usize = 8;

/// Longest payload there can be: 1 MiB. DaemonEye's client takes no more.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Memory set aside for a payload that is only announced. What arrives is given more.
const TRUSTED_LEN: usize = 64 * 1024;

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It has no payload.
    #[error("a frame says that it is empty")]
    ZeroLength,
    /// Its payload is longer than allowed.
    #[error("a frame of {length} bytes is longer than {limit}")]
    TooLong {
        /// Length of the payload.
        length: usize,
        /// The longest that is allowed.
        limit: usize,
    },
    /// The payload is not what was sent.
    #[error("a frame has the checksum {found:#010x} and says {announced:#010x}")]
    Checksum {
        /// The checksum in the header.
        announced: u32,
        /// The checksum of what arrived.
        found: u32,
    },
    /// The stream ended inside it.
    #[error("the stream ends after {received} bytes of a frame")]
    Truncated {
        /// Bytes of the frame that arrived, with its header.
        received: usize,
    },
}

/// Makes a frame.
///
/// # Errors
/// When the payload is empty, or longer than `max_payload` bytes.
pub fn encode_frame(payload: &[u8], max_payload: usize) -> Result<Vec<u8>, FrameError> {
    let length = check_length(payload.len(), max_payload)?;
    let mut frame = Vec::with_capacity(HEADER_LEN + payload.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    frame.extend_from_slice(payload);
    Ok(frame)
}

fn check_length(length: usize, max_payload: usize) -> Result<u32, FrameError> {
    let limit = max_payload.min(MAX_PAYLOAD);
    match u32::try_from(length) {
        Ok(0) => Err(FrameError::ZeroLength),
        Ok(short) if length <= limit => Ok(short),
        _ => Err(FrameError::TooLong { length, limit }),
    }
}

/// Finds frames in bytes that arrive in pieces of any size. It holds one frame at most.
#[derive(Debug)]
pub struct FrameDecoder {
    max_payload: usize,
    header: [u8; HEADER_LEN],
    /// Bytes of the header that are there.
    header_len: usize,
    /// Length of the payload, once the header is there.
    length: usize,
    payload: Vec<u8>,
    failed: Option<FrameError>,
}

impl FrameDecoder {
    /// A decoder at the beginning of a stream, for payloads of at most `max_payload` bytes.
    #[must_use]
    pub const fn new(max_payload: usize) -> Self {
        Self {
            max_payload,
            header: [0; HEADER_LEN],
            header_len: 0,
            length: 0,
            payload: Vec::new(),
            failed: None,
        }
    }

    /// Takes bytes from the front of `input` up to the end of a frame, and returns its payload when it is complete. With
    /// `None`, all of `input` has been taken and more is needed.
    ///
    /// # Errors
    /// What is wrong with the frame; the same error from then on.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let end = self.advance(input);
        self.failed = end.as_ref().err().copied();
        end
    }

    /// Whether nothing of a frame has arrived yet.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        self.header_len == 0
    }

    /// To be asked at the end of the stream.
    ///
    /// # Errors
    /// When the stream ends inside a frame, or an error ended it before.
    pub fn finish(&self) -> Result<(), FrameError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.is_between_frames() => Ok(()),
            None => Err(FrameError::Truncated { received: self.header_len + self.payload.len() }),
        }
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        if self.header_len < HEADER_LEN {
            let taken = take(input, HEADER_LEN - self.header_len);
            for (place, byte) in self.header.iter_mut().skip(self.header_len).zip(taken) {
                *place = *byte;
            }
            self.header_len += taken.len();
            if self.header_len < HEADER_LEN {
                return Ok(None);
            }
            self.length = check_length(self.announced_length(), self.max_payload)? as usize;
            self.payload.reserve_exact(self.length.min(TRUSTED_LEN));
        }
        self.payload.extend_from_slice(take(input, self.length - self.payload.len()));
        if self.payload.len() < self.length {
            return Ok(None);
        }
        let (announced, found) = (self.announced_checksum(), crc32c::crc32c(&self.payload));
        if announced != found {
            return Err(FrameError::Checksum { announced, found });
        }
        self.header_len = 0;
        Ok(Some(std::mem::take(&mut self.payload)))
    }

    const fn announced_length(&self) -> usize {
        let [a, b, c, d, ..] = self.header;
        u32::from_le_bytes([a, b, c, d]) as usize
    }

    const fn announced_checksum(&self) -> u32 {
        let [.., a, b, c, d] = self.header;
        u32::from_le_bytes([a, b, c, d])
    }
}

/// Splits at most `most` bytes off the front of `input`.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces of these sizes, over and over; what came out, and how it ended.
    fn decode(bytes: &[u8], max_payload: usize, sizes: &[usize]) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
        let mut decoder = FrameDecoder::new(max_payload);
        let (mut payloads, mut rest) = (Vec::new(), bytes);
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let mut piece = take(&mut rest, *size);
            loop {
                match decoder.decode(&mut piece) {
                    Ok(Some(payload)) => payloads.push(payload),
                    Ok(None) => break,
                    Err(error) => return (payloads, Err(error)),
                }
            }
            assert!(piece.is_empty(), "nothing is left behind");
        }
        (payloads, decoder.finish())
    }

    #[test]
    fn a_frame_is_length_castagnoli_checksum_and_payload() {
        // The check value of CRC-32C, as its definition gives it.
        let frame = encode_frame(b"123456789", MAX_PAYLOAD).unwrap();
        assert_eq!(frame, b"\x09\0\0\0\x83\x92\x06\xe3123456789");
        assert_eq!(decode(&frame, MAX_PAYLOAD, &[64]), (vec![b"123456789".to_vec()], Ok(())));
    }

    #[test]
    fn lengths_from_one_to_the_limit_are_allowed() {
        assert_eq!(encode_frame(b"", 8), Err(FrameError::ZeroLength));
        assert!(encode_frame(&[0; 8], 8).is_ok());
        assert_eq!(encode_frame(&[0; 9], 8), Err(FrameError::TooLong { length: 9, limit: 8 }));
        let largest = vec![7; MAX_PAYLOAD];
        let frame = encode_frame(&largest, usize::MAX).unwrap();
        assert_eq!(decode(&frame, usize::MAX, &[4096]), (vec![largest], Ok(())));
        let too_long = FrameError::TooLong { length: MAX_PAYLOAD + 1, limit: MAX_PAYLOAD };
        assert_eq!(encode_frame(&vec![0; MAX_PAYLOAD + 1], usize::MAX), Err(too_long));
    }

    #[test]
    fn each_fault_has_its_name() {
        let good = encode_frame(b"hello", 100).unwrap();
        let ends = |bytes: &[u8]| decode(bytes, 100, &[3]).1;
        assert_eq!(ends(&[0; 8]), Err(FrameError::ZeroLength));
        assert_eq!(
            ends(b"\xff\xff\xff\xff...."),
            Err(FrameError::TooLong { length: u32::MAX as usize, limit: 100 })
        );
        for at in 4..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(matches!(ends(&bad), Err(FrameError::Checksum { .. })), "byte {at}");
        }
        for received in 1..good.len() {
            assert_eq!(ends(&good[..received]), Err(FrameError::Truncated { received }));
        }
        assert_eq!(ends(b""), Ok(()));
    }

    #[test]
    fn an_error_is_the_end() {
        let mut decoder = FrameDecoder::new(100);
        assert_eq!(decoder.decode(&mut &[0; 8][..]), Err(FrameError::ZeroLength));
        let good = encode_frame(b"hello", 100).unwrap();
        assert_eq!(decoder.decode(&mut &good[..]), Err(FrameError::ZeroLength));
        assert_eq!(decoder.finish(), Err(FrameError::ZeroLength));
    }

    #[test]
    fn an_announcement_alone_takes_no_memory() {
        let mut decoder = FrameDecoder::new(MAX_PAYLOAD);
        let header = [&(MAX_PAYLOAD as u32).to_le_bytes()[..], b"...."].concat();
        assert_eq!(decoder.decode(&mut &header[..]), Ok(None));
        assert!(decoder.payload.capacity() <= TRUSTED_LEN);
    }

    proptest! {
        #[test]
        fn frames_survive_any_split(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..8),
            sizes in prop::collection::vec(1_usize..300, 1..8),
        ) {
            let stream: Vec<u8> =
                payloads.iter().flat_map(|payload| encode_frame(payload, 200).unwrap()).collect();
            prop_assert_eq!(decode(&stream, 200, &sizes), (payloads, Ok(())));
        }

        #[test]
        fn any_bytes_are_frames_or_an_error_and_the_split_does_not_matter(
            lengths in prop::collection::vec(0_u32..40, 0..4),
            noise in prop::collection::vec(any::<u8>(), 0..120),
            sizes in prop::collection::vec(1_usize..50, 1..8),
        ) {
            // Small lengths before noise, so that more than the first header is looked at.
            let mut bytes = Vec::new();
            for length in lengths {
                bytes.extend(encode_frame(&vec![b'x'; length as usize], 40).unwrap_or_default());
            }
            bytes.extend(noise);
            prop_assert_eq!(decode(&bytes, 32, &sizes), decode(&bytes, 32, &[usize::MAX]));
        }
    }
}
