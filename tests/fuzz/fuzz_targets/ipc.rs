//! Any bytes from a client are frames or an error, however they are split, and any payload is a request or an error.
//!
//! The first byte says how to split. The rest is tried as a stream, and as payloads of sound frames (a byte of length,
//! payload), since no mutation gets past a checksum.
#![no_main]

use collector_core::ipc::Request;
use collector_core::ipc::codec::{FrameDecoder, FrameError, encode_frame};
use libfuzzer_sys::fuzz_target;

const MAX_PAYLOAD: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let size = usize::from(*size).max(1);
    let whole = decode(bytes, usize::MAX);
    assert_eq!(whole, decode(bytes, size), "the split matters");

    let payloads = payloads_of(bytes);
    let stream: Vec<u8> =
        payloads.iter().flat_map(|payload| encode_frame(payload, MAX_PAYLOAD).expect("is short")).collect();
    assert_eq!(decode(&stream, size), (payloads, Ok(())));
    let _ = Request::decode(bytes);
});

fn decode(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let (mut decoder, mut payloads) = (FrameDecoder::new(MAX_PAYLOAD), Vec::new());
    for mut piece in stream.chunks(size.min(stream.len().max(1))) {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(payload)) => {
                    assert!((1..=MAX_PAYLOAD).contains(&payload.len()));
                    let _ = Request::decode(&payload);
                    payloads.push(payload);
                }
                Ok(None) => break,
                Err(error) => return (payloads, Err(error)),
            }
        }
        assert!(piece.is_empty(), "bytes are left behind");
    }
    (payloads, decoder.finish())
}

fn payloads_of(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while let &[length, ref rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        if !payload.is_empty() {
            payloads.push(payload.to_vec());
        }
        bytes = rest;
    }
    payloads
}
