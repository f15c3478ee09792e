//! Decode against whole, cut and corrupted records.

use collector_common::{ExecWire, FileWire};
use proptest::prelude::*;

use super::*;
use crate::testing;

/// A record of every kind.
fn all_kinds() -> Vec<(Kind, Vec<u8>)> {
    let task = testing::task(100);
    Kind::ALL
        .iter()
        .map(|&kind| {
            let bytes = match kind {
                Kind::ProcessExec => testing::exec(task, "/usr/bin/ls", &["ls", "-l", ""]).build(),
                Kind::ProcessFork => testing::fork(task).build(),
                Kind::ProcessExit => testing::exit(task, 256).build(),
                _ if kind.domain() == collector_common::Domain::Network => {
                    testing::network(kind, task).build()
                }
                _ => testing::file(kind, task, "/tmp/x").text(|wire| &mut wire.name, "y").build(),
            };
            (kind, bytes)
        })
        .collect()
}

#[test]
fn an_exec_comes_out_as_it_was_built() {
    let task = testing::task(100);
    let bytes = testing::exec(task, "/usr/bin/ls", &["ls", "", "-l"]).sequence(3, 9).at(77).build();
    let Record::Exec(record) = decode(&bytes).unwrap() else { panic!("not an exec") };
    assert_eq!(record.wire.task, task);
    assert_eq!(
        (record.wire.header.cpu, record.wire.header.seq, record.wire.header.ktime_ns),
        (3, 9, 77),
        "cpu, sequence and time"
    );
    assert_eq!(record.arguments().collect::<Vec<_>>(), [&b"ls"[..], b"", b"-l"]);
    assert_eq!(record.exe, Some(&b"/usr/bin/ls"[..]));
    assert_eq!(record.cgroup, Some(&b"session-1.scope/user-1000.slice/user.slice/"[..]));
}

#[test]
fn every_kind_decodes_to_itself() {
    for (kind, bytes) in all_kinds() {
        let record = decode(&bytes).unwrap();
        assert_eq!(record.kind(), kind);
        assert_eq!(record.task().pid, 100);
        assert_eq!(record.header().len as usize, bytes.len());
    }
}

#[test]
fn slack_behind_the_record_is_ignored() {
    for (kind, mut bytes) in all_kinds() {
        let whole = decode(&bytes).unwrap();
        let whole = format!("{whole:?}");
        bytes.extend_from_slice(&[0xaa; 64]);
        assert_eq!(format!("{:?}", decode(&bytes).unwrap()), whole, "{}", kind.name());
    }
}

#[test]
fn every_truncation_of_every_kind_is_an_error() {
    for (kind, bytes) in all_kinds() {
        for len in 0..bytes.len() {
            let error = decode(&bytes[..len]).expect_err(kind.name());
            let expected = if len < size_of::<RecordHeader>() {
                DecodeErrorKind::HeaderTruncated
            } else {
                DecodeErrorKind::Length
            };
            assert_eq!(error.kind(), expected, "{} cut to {len} bytes", kind.name());
        }
    }
}

#[test]
fn every_truncation_with_an_adjusted_length_is_an_error_of_its_own() {
    for (kind, bytes) in all_kinds() {
        for len in size_of::<RecordHeader>()..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            cut[..4].copy_from_slice(&(len as u32).to_ne_bytes());
            let error = decode(&cut).expect_err(kind.name()).kind();
            assert!(
                matches!(error, DecodeErrorKind::PayloadTruncated | DecodeErrorKind::StringRange),
                "{} cut to {len} bytes: {error:?}",
                kind.name()
            );
        }
    }
}

#[test]
fn records_of_other_versions_kinds_and_captures_are_told_apart() {
    let bytes = testing::fork(testing::task(1)).build();
    let with = |at: usize, value: u16| {
        let mut bytes = bytes.clone();
        bytes[at..at + 2].copy_from_slice(&value.to_ne_bytes());
        decode(&bytes).expect_err("an error")
    };
    assert_eq!(with(4, 999), DecodeError::Kind(999));
    assert_eq!(with(4, 0), DecodeError::Kind(0));
    assert_eq!(with(6, 2), DecodeError::Version(2));
    assert_eq!(with(12, 7), DecodeError::Capture(7));
    assert_eq!(with(0, 31), DecodeError::Length { stated: 31, have: bytes.len() });
}

#[track_caller]
fn check_range(range: StrRef, valid: bool) {
    let bytes =
        testing::file(Kind::FileOpen, testing::task(1), "/tmp/x").with(|wire| wire.old_name = range).build();
    match decode(&bytes) {
        Ok(_) => assert!(valid, "{range:?} was taken"),
        Err(error) => {
            assert!(!valid, "{range:?} was refused: {error}");
            assert!(error.to_string().contains("old_name"), "{error}");
        }
    }
}

#[test]
fn strings_lie_in_the_string_area_or_are_absent() {
    let start = size_of::<FileWire>() as u32;
    check_range(StrRef { offset: 0, len: 0 }, true);
    check_range(StrRef { offset: 0, len: 99 }, true);
    check_range(StrRef { offset: start, len: 6 }, true);
    check_range(StrRef { offset: start + 6, len: 0 }, true);
    check_range(StrRef { offset: start, len: 7 }, false);
    check_range(StrRef { offset: start + 7, len: 0 }, false);
    check_range(StrRef { offset: start - 1, len: 2 }, false);
    check_range(StrRef { offset: 1, len: 0 }, false);
    check_range(StrRef { offset: start, len: u32::MAX }, false);
    check_range(StrRef { offset: u32::MAX, len: u32::MAX }, false);
}

#[test]
fn a_string_that_reaches_into_the_slack_is_refused() {
    let mut bytes = testing::file(Kind::FileOpen, testing::task(1), "/tmp/x").build();
    let cut = bytes.len() as u32 - 1;
    bytes[..4].copy_from_slice(&cut.to_ne_bytes());
    assert_eq!(decode(&bytes).expect_err("an error").kind(), DecodeErrorKind::StringRange);
}

#[test]
fn unaligned_bytes_decode_alike() {
    let bytes = testing::exec(testing::task(5), "/bin/sh", &["sh"]).build();
    let aligned = format!("{:?}", decode(&bytes).unwrap());
    for shift in 1..8 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(&bytes);
        assert_eq!(format!("{:?}", decode(&shifted[shift..]).unwrap()), aligned);
    }
}

#[test]
fn a_record_at_its_longest_decodes() {
    let argv = vec![b'a'; collector_common::ARGV_MAX];
    let path = vec![b'p'; collector_common::PATH_MAX];
    let bytes = longest_exec(&argv, &path);
    assert!(bytes.len() <= collector_common::RECORD_MAX);
    let Record::Exec(record) = decode(&bytes).unwrap() else { panic!("not an exec") };
    assert_eq!(record.argv.map(<[u8]>::len), Some(collector_common::ARGV_MAX));
}

fn longest_exec(argv: &[u8], path: &[u8]) -> Vec<u8> {
    testing::RecordBuilder::<ExecWire>::new(Kind::ProcessExec, testing::task(1))
        .text(|wire| &mut wire.argv, argv)
        .text(|wire| &mut wire.exe, path)
        .text(|wire| &mut wire.cwd, path)
        .text(|wire| &mut wire.filename, path)
        .text(|wire| &mut wire.interp, path)
        .text(|wire| &mut wire.cgroup, path)
        .build()
}

proptest! {
    #[test]
    fn corrupted_records_give_a_record_or_an_error(
        which in 0..Kind::ALL.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (_, mut bytes) = all_kinds().swap_remove(which);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(Record::Exec(record)) = decode(&bytes) {
            prop_assert!(record.arguments().map(<[u8]>::len).sum::<usize>() <= bytes.len());
        }
    }

    #[test]
    fn any_bytes_give_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode(&bytes);
    }
}
