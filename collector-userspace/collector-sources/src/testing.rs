//! Synthetic records, for tests, benches and fuzzing.
//!
//! A [`RecordBuilder`] starts from a plausible record of one kind; `with` changes fields of the fixed part, `text`
//! appends a string and points a [`StrRef`] at it.

use collector_common::{
    Capture, CredentialsWire, ExecWire, ExitWire, FileWire, ForkWire, Kind, NetworkWire, RecordHeader,
    StrRef, TaskWire, WIRE_VERSION,
};
use zerocopy::{FromZeros, Immutable, IntoBytes};

/// Nanoseconds of one clock tick at 100 Hz, the unit of start times in `/proc`.
pub const TICK_NS: u64 = 10_000_000;

/// A payload that begins with header and task.
pub trait Payload: IntoBytes + Immutable + FromZeros + Copy {
    /// Its header.
    fn header(&mut self) -> &mut RecordHeader;
    /// Its task.
    fn task(&mut self) -> &mut TaskWire;
}

macro_rules! payloads {
    ($($wire:ty),*) => {
        $(impl Payload for $wire {
            fn header(&mut self) -> &mut RecordHeader {
                &mut self.header
            }
            fn task(&mut self) -> &mut TaskWire {
                &mut self.task
            }
        })*
    };
}
payloads!(ExecWire, ForkWire, ExitWire, NetworkWire, FileWire);

/// Builds the bytes of one record.
#[derive(Clone, Debug)]
pub struct RecordBuilder<W> {
    wire: W,
    strings: Vec<u8>,
}

impl<W: Payload> RecordBuilder<W> {
    /// A record of `kind` by `task`, at the moment the task started, with everything else zero.
    #[must_use]
    pub fn new(kind: Kind, task: TaskWire) -> Self {
        let mut wire = W::new_zeroed();
        *wire.header() = RecordHeader {
            len: 0,
            kind: kind as u16,
            version: WIRE_VERSION,
            cpu: 0,
            capture: Capture::Kernel as u32,
            seq: 0,
            ktime_ns: task.start_ns,
        };
        *wire.task() = task;
        Self { wire, strings: Vec::new() }
    }

    /// Changes the fixed part.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut W)) -> Self {
        change(&mut self.wire);
        self
    }

    /// Sets when the probe ran.
    #[must_use]
    pub fn at(mut self, ktime_ns: u64) -> Self {
        self.wire.header().ktime_ns = ktime_ns;
        self
    }

    /// Sets the place in the kernel's sequence.
    #[must_use]
    pub fn sequence(mut self, cpu: u32, seq: u64) -> Self {
        self.wire.header().cpu = cpu;
        self.wire.header().seq = seq;
        self
    }

    /// Says that the content came from a system call's arguments.
    #[must_use]
    pub fn from_syscall(mut self) -> Self {
        self.wire.header().capture = Capture::Syscall as u32;
        self
    }

    /// Appends a string and points `field` at it.
    #[must_use]
    pub fn text(mut self, field: impl FnOnce(&mut W) -> &mut StrRef, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        let offset = size_of::<W>() + self.strings.len();
        *field(&mut self.wire) = StrRef { offset: offset as u32, len: text.len() as u32 };
        self.strings.extend_from_slice(text);
        self
    }

    /// The bytes.
    #[must_use]
    pub fn build(mut self) -> Vec<u8> {
        self.wire.header().len = (size_of::<W>() + self.strings.len()) as u32;
        let mut bytes = self.wire.as_bytes().to_vec();
        bytes.append(&mut self.strings);
        bytes
    }
}

/// A user's process named `sh`, started `pid` ticks after boot, in its first image.
#[must_use]
pub fn task(pid: u32) -> TaskWire {
    TaskWire {
        pid,
        tid: pid,
        ppid: 1,
        uid: 1000,
        gid: 1000,
        flags: 0,
        start_ns: u64::from(pid) * TICK_NS + 1234,
        image: 1,
        cgroup_id: 77,
        mnt_ns: 4_026_531_841,
        net_ns: 4_026_531_840,
        comm: comm("sh"),
        start_stack: stack(pid, 1),
    }
}

/// The task after an exec as `name`.
#[must_use]
pub fn next_image(task: TaskWire, name: &str) -> TaskWire {
    let image = task.image + 1;
    TaskWire { image, comm: comm(name), start_stack: stack(task.pid, image), ..task }
}

/// A child of `parent`, before any exec of its own.
#[must_use]
pub fn child(parent: &TaskWire, pid: u32) -> TaskWire {
    TaskWire { pid, tid: pid, ppid: parent.pid, start_ns: u64::from(pid) * TICK_NS + 1234, ..*parent }
}

/// `name` as the kernel stores it: NUL padded, cut to 15 bytes.
#[must_use]
pub fn comm(name: &str) -> [u8; 16] {
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    comm
}

/// Some place of a stack that differs per process and image.
#[must_use]
pub fn stack(pid: u32, image: u64) -> u64 {
    0x7ffc_0000_0000 + u64::from(pid) * 0x1_0000 + image * 0x40
}

/// Credentials of an ordinary user whose parent is process 1 in its first image.
#[must_use]
pub fn credentials() -> CredentialsWire {
    CredentialsWire {
        euid: 1000,
        egid: 1000,
        login_uid: u32::MAX,
        session_id: u32::MAX,
        cap_effective: 0,
        pid_ns: 4_026_531_836,
        user_ns: 4_026_531_837,
        ns_pid: 0,
        ns_level: 0,
        parent_start_ns: TICK_NS + 1234,
        parent_image: 1,
    }
}

/// Credentials of a child of `parent`.
#[must_use]
pub fn credentials_under(parent: &TaskWire) -> CredentialsWire {
    CredentialsWire { parent_start_ns: parent.start_ns, parent_image: parent.image, ..credentials() }
}

/// An exec of `exe` with these arguments.
#[must_use]
pub fn exec(task: TaskWire, exe: &str, arguments: &[&str]) -> RecordBuilder<ExecWire> {
    let mut argv = Vec::new();
    for argument in arguments {
        argv.extend_from_slice(argument.as_bytes());
        argv.push(0);
    }
    RecordBuilder::<ExecWire>::new(Kind::ProcessExec, task)
        .with(|wire| {
            wire.credentials = credentials();
            wire.argc = arguments.len() as u32;
            wire.argv_len = argv.len() as u64;
            wire.old_tid = task.pid;
            wire.exe_mode = 0o100_755;
            wire.exe_inode = 4711;
            wire.exe_device = 8 << 20 | 1;
            wire.exe_nlink = 1;
        })
        .text(|wire| &mut wire.argv, argv)
        .text(|wire| &mut wire.exe, exe)
        .text(|wire| &mut wire.cwd, "/home/u")
        .text(|wire| &mut wire.filename, exe)
        .text(|wire| &mut wire.interp, exe)
        .text(|wire| &mut wire.cgroup, "session-1.scope/user-1000.slice/user.slice/")
}

/// The birth of `task`.
#[must_use]
pub fn fork(task: TaskWire) -> RecordBuilder<ForkWire> {
    RecordBuilder::<ForkWire>::new(Kind::ProcessFork, task).with(|wire| wire.credentials = credentials())
}

/// The end of `task` with a wait status.
#[must_use]
pub fn exit(task: TaskWire, status: u32) -> RecordBuilder<ExitWire> {
    RecordBuilder::<ExitWire>::new(Kind::ProcessExit, TaskWire { start_stack: 0, ..task }).with(|wire| {
        wire.status = status;
        wire.login_uid = u32::MAX;
        wire.session_id = u32::MAX;
        wire.euid = task.uid;
    })
}

/// A TCP connection from 10.0.0.1:40000 to 192.0.2.7:443.
#[must_use]
pub fn network(kind: Kind, task: TaskWire) -> RecordBuilder<NetworkWire> {
    RecordBuilder::<NetworkWire>::new(kind, task).with(|wire| {
        wire.family = 2;
        wire.protocol = 6;
        wire.old_state = 2;
        wire.new_state = 1;
        wire.local_port = 40_000;
        wire.remote_port = 443;
        wire.local[..4].copy_from_slice(&[10, 0, 0, 1]);
        wire.remote[..4].copy_from_slice(&[192, 0, 2, 7]);
        wire.opened_ns = task.start_ns;
    })
}

/// An operation on the file at `path`, as kernel objects show it.
#[must_use]
pub fn file(kind: Kind, task: TaskWire, path: &str) -> RecordBuilder<FileWire> {
    RecordBuilder::<FileWire>::new(kind, task)
        .with(|wire| {
            wire.inode = 815;
            wire.size = 42;
            wire.device = 8 << 20 | 1;
            wire.mode = 0o100_644;
            wire.owner_uid = 1000;
            wire.owner_gid = 1000;
        })
        .text(|wire| &mut wire.base, path)
}
