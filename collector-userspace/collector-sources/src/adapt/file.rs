//! Files and directories.

use std::sync::Arc;

use collector_common::{Capture, Domain, Kind, file_flag};
use collector_core::{FilesystemEvent, FilesystemEventKind, ProcessRef, Text};

use super::path::join;
use super::{Context, known, set};
use crate::decode::FileRecord;

/// Bits of `open(2)` flags, alike on the architectures we run on.
const O_ACCMODE: u32 = 0o3;
const O_TRUNC: u32 = 0o1000;
const O_APPEND: u32 = 0o2000;

/// The event of a file record.
#[must_use]
pub fn adapt_file(
    record: &FileRecord<'_>,
    process: Option<Arc<ProcessRef>>,
    context: &Context,
) -> FilesystemEvent {
    let wire = &record.wire;
    let kind = match record.kind {
        Kind::FileOpen => FilesystemEventKind::Open,
        Kind::FileModify => FilesystemEventKind::Modify,
        Kind::FileDelete => FilesystemEventKind::Delete,
        Kind::FileRename => FilesystemEventKind::Rename,
        Kind::FileLink => FilesystemEventKind::Link,
        Kind::FileAttributes => FilesystemEventKind::Attributes,
        // Decode lets no kinds of other domains in here.
        _ => FilesystemEventKind::Create,
    };
    let from_arguments = record.capture == Capture::Syscall;
    let old = || join(record.old_base, record.old_name, from_arguments);
    let (old_path, target) = match kind {
        FilesystemEventKind::Rename => (old(), None),
        FilesystemEventKind::Link if wire.flags & file_flag::SYMLINK != 0 => {
            (None, record.old_name.map(Text::from))
        }
        FilesystemEventKind::Link => (None, old()),
        _ => (None, None),
    };
    let inode = known(wire.inode);
    FilesystemEvent {
        path: join(record.base, record.name, from_arguments).unwrap_or_default(),
        old_path,
        target,
        timestamp: context.clock.system_time(wire.header.ktime_ns),
        pid: known(wire.task.pid),
        // Nothing was read of a file whose inode is unknown; a size of 0 is a size.
        size: inode.map(|_| wire.size),
        mode: known(wire.mode),
        kind,
        // The programs report what succeeded.
        result: Some(0),
        meta: context.meta(&wire.header, Domain::File, record.capture),
        process,
        inode,
        device: known(wire.device).map(|device| (device >> 20, device & 0xf_ffff)),
        mount_ns: known(wire.task.mnt_ns),
        owner: set(wire.owner_uid).zip(set(wire.owner_gid)),
        written: match kind {
            FilesystemEventKind::Modify if wire.flags & (file_flag::MAPPED | file_flag::UNCOUNTED) == 0 => {
                Some(wire.written)
            }
            _ => None,
        },
        flags: words(kind, wire.flags, wire.open_flags),
        ..FilesystemEvent::default()
    }
}

fn words(kind: FilesystemEventKind, flags: u32, open_flags: u32) -> Vec<&'static str> {
    // Of other kinds these are the flags of another call.
    let opened = match kind {
        FilesystemEventKind::Create | FilesystemEventKind::Open | FilesystemEventKind::Modify => open_flags,
        _ => 0,
    };
    let has = |bits: u32| flags & bits != 0;
    [
        (opened & O_ACCMODE != 0, "write"),
        (opened & O_APPEND != 0, "append"),
        (opened & O_TRUNC != 0 || has(file_flag::TRUNCATED), "truncate"),
        (has(file_flag::MODE_CHANGED), "mode"),
        (has(file_flag::OWNER_CHANGED), "owner"),
        (has(file_flag::TIMES_CHANGED), "times"),
        (has(file_flag::XATTR_CHANGED), "xattr"),
        (has(file_flag::SYMLINK), "symlink"),
        (has(file_flag::DIRECTORY), "directory"),
        (has(file_flag::MAPPED), "mapped"),
        (has(file_flag::UNCOUNTED), "uncounted"),
        (has(file_flag::UNLINKED), "unlinked"),
        (has(file_flag::EXCHANGED), "exchange"),
        (has(file_flag::BASE_TRUNCATED | file_flag::OLD_BASE_TRUNCATED), "path_truncated"),
        (has(file_flag::NAME_FAULT), "name_unreadable"),
        (has(file_flag::CLOSED_BY_EXIT), "closed_by_exit"),
        (has(file_flag::CLOSED_BY_EXEC), "closed_by_exec"),
    ]
    .into_iter()
    .filter_map(|(is_set, word)| is_set.then_some(word))
    .collect()
}
