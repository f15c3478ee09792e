//! Tables in which the kernel side remembers something between two system calls.
//!
//! They forget the least recently used entry when they are full, without a word from the kernel. So the programs count what
//! they put in and take out, and what is neither taken out nor still there was forgotten.

use crate::{Kind, TaskWire};

/// Tables whose forgotten entries mean missing events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// Open TCP connections: [`SocketOwner`] by address of the socket.
    Sockets = 0,
    /// Written files that are still open: [`Written`] by address of the file description.
    Written = 1,
}

impl Table {
    /// Number of tables.
    pub const COUNT: usize = 2;
    /// Every table, in numeric order.
    pub const ALL: [Self; Self::COUNT] = [Self::Sockets, Self::Written];

    /// The kind of the event that is missing for each forgotten entry.
    #[must_use]
    pub const fn missing(self) -> Kind {
        match self {
            Self::Sockets => Kind::NetworkClose,
            Self::Written => Kind::FileModify,
        }
    }
}

/// Entries of the map that counts for the tables: two per [`Table`], put in and taken out.
pub const TABLE_SLOTS: usize = 2 * Table::COUNT;

/// Index of the counter of entries put in (`taken_out` false) or taken out of `table`.
#[must_use]
pub const fn table_slot(table: Table, taken_out: bool) -> u32 {
    table as u32 * 2 + taken_out as u32
}

/// Who opened a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SocketOwner {
    /// The process that opened or accepted it.
    pub task: TaskWire,
    /// When, `CLOCK_BOOTTIME` in nanoseconds.
    pub opened_ns: u64,
    /// `network_flag` bits.
    pub flags: u32,
    /// 1 until a connect has its result.
    pub pending: u32,
}

/// What was written through a file description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Written {
    /// Bytes.
    pub bytes: u64,
    /// Address of the inode: tells the description from a later one at the same address.
    pub inode: u64,
    /// `file_flag` bits that the modify record will carry.
    pub flags: u32,
    /// Who wrote last: its close reports them, not that of a process that inherited the descriptor.
    pub pid: u32,
}
