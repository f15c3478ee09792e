//! Payloads of frames.
//!
//! ```text
//! process  = number … in the order of `SnapshotEntry`
//! text     = len u32 | bytes
//! optional = 0 u8, or 1 u8 | value
//! ```

use std::sync::Arc;

use collector_common::{Domain, Kind, LossReason};
use collector_core::Namespaces;

use super::reader::Frame;
use super::{FrameType, PAYLOAD_MAX};
use crate::clock::Anchor;
use crate::identity::snapshot::SnapshotEntry;
use crate::ledger::CounterDelta;

/// Counters in one `losses` frame at most.
pub(super) const DELTAS_PER_FRAME: usize = 2048;

/// Processors in one `sent` frame at most.
pub(super) const CPUS_PER_FRAME: usize = 4096;

const _: () = assert!(DELTAS_PER_FRAME * 15 + 10 <= PAYLOAD_MAX && CPUS_PER_FRAME * 8 + 14 <= PAYLOAD_MAX);

/// Appends values to a payload.
pub(super) struct Put<'a>(pub(super) &'a mut Vec<u8>);

impl Put<'_> {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, text: &[u8]) {
        self.u32(text.len() as u32);
        self.0.extend_from_slice(text);
    }

    fn optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.u8(value.is_some().into());
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub(super) fn record(&mut self, domain: Domain, bytes: &[u8]) {
        self.u8(domain as u8);
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn anchor(&mut self, anchor: Anchor) {
        let Anchor { realtime_ns, boottime_ns } = anchor;
        self.u64(realtime_ns);
        self.u64(boottime_ns);
    }

    pub(super) fn user(&mut self, uid: u32, name: Option<&str>) {
        self.u32(uid);
        self.optional(name, |put, name| put.text(name.as_bytes()));
    }

    pub(super) fn losses(&mut self, now_ns: u64, domain: Domain, is_whole: bool, deltas: &[CounterDelta]) {
        self.u64(now_ns);
        self.u8(domain as u8);
        self.u8(is_whole.into());
        for &CounterDelta { kind, reason, cpu, count } in deltas {
            self.u16(kind as u16);
            self.u8(reason as u8);
            self.u32(cpu);
            self.u64(count);
        }
    }

    pub(super) fn sent(
        &mut self,
        now_ns: u64,
        domain: Domain,
        is_whole: bool,
        first_cpu: u32,
        counts: &[u64],
    ) {
        self.u64(now_ns);
        self.u8(domain as u8);
        self.u8(is_whole.into());
        self.u32(first_cpu);
        for &count in counts {
            self.u64(count);
        }
    }

    pub(super) fn end(&mut self, now_ns: u64, records: [u64; Domain::COUNT]) {
        self.u64(now_ns);
        for count in records {
            self.u64(count);
        }
    }

    pub(super) fn process(&mut self, entry: &SnapshotEntry) {
        let SnapshotEntry {
            seen_ns,
            pid,
            ppid,
            parent_start_ticks,
            start_ticks,
            start_stack,
            comm,
            exe,
            exe_deleted,
            argv,
            argv_truncated,
            cwd,
            uid,
            gid,
            euid,
            egid,
            login_uid,
            session_id,
            namespaces: Namespaces { mnt, pid: pid_ns, net, user },
            pid_in_namespace,
            capabilities,
            cgroup,
            cgroup_id,
            kernel_thread,
        } = entry;
        self.u64(*seen_ns);
        self.u32(*pid);
        self.u32(*ppid);
        self.optional(*parent_start_ticks, Self::u64);
        self.u64(*start_ticks);
        self.u64(*start_stack);
        self.text(comm);
        self.optional(exe.as_deref(), Self::text);
        self.u8((*exe_deleted).into());
        self.text(argv);
        self.u8((*argv_truncated).into());
        self.optional(cwd.as_deref(), Self::text);
        for id in [uid, gid, euid, egid, login_uid, session_id] {
            self.optional(*id, Self::u32);
        }
        for namespace in [mnt, pid_ns, net, user] {
            self.u32(*namespace);
        }
        self.optional(*pid_in_namespace, Self::u32);
        self.optional(*capabilities, Self::u64);
        self.optional(cgroup.as_deref(), Self::text);
        self.optional(*cgroup_id, Self::u64);
        self.u8((*kernel_thread).into());
    }
}

/// Takes values from a payload; `None` if it is too short or says something impossible.
struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<Box<[u8]>> {
        let len = self.u32()? as usize;
        self.bytes(len).map(Box::from)
    }

    fn optional<T>(&mut self, take: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.bool()? { take(self).map(Some) } else { Some(None) }
    }

    fn domain(&mut self) -> Option<Domain> {
        Domain::ALL.get(usize::from(self.u8()?)).copied()
    }

    fn user(&mut self) -> Option<(u32, Option<Arc<str>>)> {
        let uid = self.u32()?;
        let name = self.optional(Self::text)?;
        let name = name.map(|name| std::str::from_utf8(&name).map(Arc::from)).transpose().ok()?;
        Some((uid, name))
    }

    fn deltas(&mut self) -> Option<Vec<CounterDelta>> {
        let mut deltas = Vec::new();
        while !self.0.is_empty() {
            deltas.push(CounterDelta {
                kind: Kind::try_from(self.u16()?).ok()?,
                reason: LossReason::try_from(self.u8()?).ok()?,
                cpu: self.u32()?,
                count: self.u64()?,
            });
        }
        Some(deltas)
    }

    fn counts(&mut self) -> Option<Vec<u64>> {
        let mut counts = Vec::new();
        while !self.0.is_empty() {
            counts.push(self.u64()?);
        }
        Some(counts)
    }

    fn process(&mut self) -> Option<SnapshotEntry> {
        Some(SnapshotEntry {
            seen_ns: self.u64()?,
            pid: self.u32()?,
            ppid: self.u32()?,
            parent_start_ticks: self.optional(Self::u64)?,
            start_ticks: self.u64()?,
            start_stack: self.u64()?,
            comm: self.text()?,
            exe: self.optional(Self::text)?,
            exe_deleted: self.bool()?,
            argv: self.text()?,
            argv_truncated: self.bool()?,
            cwd: self.optional(Self::text)?,
            uid: self.optional(Self::u32)?,
            gid: self.optional(Self::u32)?,
            euid: self.optional(Self::u32)?,
            egid: self.optional(Self::u32)?,
            login_uid: self.optional(Self::u32)?,
            session_id: self.optional(Self::u32)?,
            namespaces: Namespaces {
                mnt: self.u32()?,
                pid: self.u32()?,
                net: self.u32()?,
                user: self.u32()?,
            },
            pid_in_namespace: self.optional(Self::u32)?,
            capabilities: self.optional(Self::u64)?,
            cgroup: self.optional(Self::text)?,
            cgroup_id: self.optional(Self::u64)?,
            kernel_thread: self.bool()?,
        })
    }
}

/// The frame a payload means; bytes left over make it malformed.
pub(super) fn take_frame(frame_type: FrameType, payload: &[u8]) -> Option<Frame<'_>> {
    let mut take = Take(payload);
    let frame = match frame_type {
        FrameType::Record => {
            let domain = take.domain()?;
            Frame::Record { domain, bytes: std::mem::take(&mut take.0) }
        }
        FrameType::Process => Frame::Process(Box::new(take.process()?)),
        FrameType::Anchor => Frame::Anchor(Anchor { realtime_ns: take.u64()?, boottime_ns: take.u64()? }),
        FrameType::User => {
            let (uid, name) = take.user()?;
            Frame::User { uid, name }
        }
        FrameType::Losses => Frame::Losses {
            now_ns: take.u64()?,
            domain: take.domain()?,
            is_whole: take.bool()?,
            deltas: take.deltas()?,
        },
        FrameType::Sent => Frame::Sent {
            now_ns: take.u64()?,
            domain: take.domain()?,
            is_whole: take.bool()?,
            first_cpu: take.u32()?,
            counts: take.counts()?,
        },
        FrameType::End => {
            Frame::End { now_ns: take.u64()?, records: [take.u64()?, take.u64()?, take.u64()?] }
        }
    };
    take.0.is_empty().then_some(frame)
}
