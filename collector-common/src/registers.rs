//! Where a system call's number and arguments lie, per architecture.
//!
//! At `sys_exit` the argument registers still hold what the program passed: the kernel changes only the one that returns
//! the result, and keeps a copy of what it was.

/// Byte offsets in the kernel's `struct pt_regs`.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    /// Of the six arguments, 8 bytes each.
    pub arguments: [usize; 6],
    /// Of the number of the call.
    pub number: usize,
    /// The same, as users of the kernel's type information ask for it: member and, in an array, index.
    pub names: [(&'static str, usize); 7],
}

/// `x86_64`.
pub const X86_64: Registers = Registers {
    arguments: [112, 104, 96, 56, 72, 64],
    number: 120,
    names: [("di", 0), ("si", 0), ("dx", 0), ("r10", 0), ("r8", 0), ("r9", 0), ("orig_ax", 0)],
};

/// `aarch64`.
pub const AARCH64: Registers = Registers {
    arguments: [272, 8, 16, 24, 32, 40],
    number: 280,
    names: [
        ("orig_x0", 0),
        ("regs", 1),
        ("regs", 2),
        ("regs", 3),
        ("regs", 4),
        ("regs", 5),
        ("syscallno", 0),
    ],
};
