//! Files of one process.

use super::{lines, number, words};

/// What is needed of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct PidStat<'a> {
    /// Name.
    pub(in super::super) comm: &'a [u8],
    /// Processor time in ticks, of all threads, ended ones included, in user and kernel mode.
    pub(in super::super) cpu_ticks: u64,
    /// When it started, in ticks since boot.
    pub(in super::super) start_ticks: u64,
    /// Resident pages.
    pub(in super::super) rss_pages: u64,
    /// Place of the stack; 0: none, or not ours to see.
    pub(in super::super) start_stack: u64,
}

impl<'a> PidStat<'a> {
    /// Reads the line; `None` if it has not got all of it.
    pub(in super::super) fn parse(line: &'a [u8]) -> Option<Self> {
        // The name may hold spaces and parentheses; the last one ends it.
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let comm = line.get(open + 1..close)?;
        // The manual counts from 1, and what follows the name is the third. Counted on from the one before.
        let mut fields = words(line.get(close + 1..)?);
        let mut skip = |count| fields.nth(count).and_then(number);
        let user = skip(14 - 3)?;
        let system = skip(0)?;
        let start_ticks = skip(22 - 16)?;
        let rss_pages = skip(24 - 23)?;
        let start_stack = skip(28 - 25)?;
        Some(Self { comm, cpu_ticks: user.checked_add(system)?, start_ticks, rss_pages, start_stack })
    }
}

/// What is needed of `/proc/PID/io`: bytes that reached, or will reach, the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct ProcessIo {
    pub(in super::super) read: u64,
    pub(in super::super) written: u64,
}

impl ProcessIo {
    pub(in super::super) fn parse(text: &[u8]) -> Option<Self> {
        let value = |name: &[u8]| {
            lines(text).find_map(|line| words(line.strip_prefix(name)?).next()).and_then(number)
        };
        Some(Self { read: value(b"read_bytes:")?, written: value(b"write_bytes:")? })
    }
}

/// The real user id in `/proc/PID/status`.
pub(in super::super) fn real_uid(status: &[u8]) -> Option<u32> {
    let line = lines(status).find_map(|line| line.strip_prefix(b"Uid:"))?;
    u32::try_from(words(line).next().and_then(number)?).ok()
}
