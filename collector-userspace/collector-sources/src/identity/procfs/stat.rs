//! The line of `/proc/PID/stat`.

/// Flag of a kernel thread in `/proc/PID/stat` (`PF_KTHREAD`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// Flag of a thread that is ending (`PF_EXITING`): what it shows of its memory is not what it had.
const PF_EXITING: u64 = 0x4;

/// What is needed of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) comm: Box<[u8]>,
    pub(crate) ppid: u32,
    pub(crate) start_ticks: u64,
    /// 0: none, or not ours to see.
    pub(crate) start_stack: u64,
    pub(crate) kernel_thread: bool,
    /// The first thread is ending, or has ended and waits for its parent.
    pub(crate) is_leaving: bool,
    /// Threads that have not ended, the first one counted whether or not it has.
    pub(crate) threads: u64,
    /// Time on a processor, in user space and in the kernel, in ticks.
    pub(crate) cpu_ticks: u64,
    /// Resident pages.
    pub(crate) resident_pages: u64,
}

impl Stat {
    /// Reads the line; `None` if it is none.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        // The name may hold spaces and parentheses; the last one ends it.
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(line.get(close + 1..)?).ok()?;
        let mut fields = [""; 26];
        for (slot, field) in fields.iter_mut().zip(rest.split_ascii_whitespace()) {
            *slot = field;
        }
        // The manual counts from 1, the name being 2.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let flags = field(9)?;
        Some(Self {
            comm: line.get(open + 1..close)?.into(),
            ppid: u32::try_from(field(4)?).ok()?,
            start_ticks: field(22)?,
            start_stack: field(28)?,
            kernel_thread: flags & PF_KTHREAD != 0,
            is_leaving: flags & PF_EXITING != 0 || matches!(fields.first(), Some(&("Z" | "X" | "x"))),
            threads: field(20).unwrap_or(1),
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            // Signed in the kernel, though never negative.
            resident_pages: field(24).unwrap_or(0),
        })
    }
}
