//! Any bytes replay or are refused, twice alike.
//!
//! Bytes are tried as a file and as frames of a sound file (type, length of two bytes, payload), since no mutation
//! gets past a checksum; that way records, `/proc` entries and counters reach the whole pipeline.
#![no_main]

use collector_sources::capture_file::{CaptureHeader, CaptureWriter, ReplayEvents};
use libfuzzer_sys::fuzz_target;

/// Bytes of a frame without payload that ends a capture: head, time and three totals.
const END: usize = 9 + 32;

fuzz_target!(|bytes: &[u8]| {
    replay(bytes);
    replay(&frames_of(bytes));
});

fn replay(file: &[u8]) {
    let (Ok(mut first), Ok(mut second)) = (ReplayEvents::new(file), ReplayEvents::new(file)) else { return };
    assert!(first.by_ref().eq(second.by_ref()), "two replays differ");
    assert_eq!(first.summary(), second.summary());
}

fn frames_of(mut bytes: &[u8]) -> Vec<u8> {
    let header = CaptureHeader { clock_ticks: 100, ..CaptureHeader::default() };
    let writer = CaptureWriter::new(Vec::new(), &header).expect("a vector takes everything");
    let mut file = writer.finish(0).expect("a vector takes everything");
    file.truncate(file.len() - END);
    while let &[frame_type, low, high, ref rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(usize::from(u16::from_le_bytes([low, high])).min(rest.len()));
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&[frame_type]), payload);
        file.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        file.extend_from_slice(&checksum.to_le_bytes());
        file.push(frame_type);
        file.extend_from_slice(payload);
        bytes = rest;
    }
    file
}
