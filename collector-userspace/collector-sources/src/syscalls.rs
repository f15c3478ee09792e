//! Numbers of the system calls that the plan hooks, per architecture.
//!
//! The plan is pure and must work out any architecture on any other, so the numbers are data here; a test
//! compares those of the architecture it runs on with libc's.

use serde::Serialize;

/// An architecture the kernel programs know the registers of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// `x86_64`.
    X86_64,
    /// `aarch64`: has only the calls that take a directory descriptor.
    Aarch64,
}

impl Arch {
    /// The architecture of this name, as `uname -m` prints it.
    #[must_use]
    pub fn from_machine(machine: &str) -> Option<Self> {
        match machine {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// Number of a system call, if this architecture has it.
    #[must_use]
    pub fn number(self, call: &str) -> Option<u32> {
        let &(_, x86_64, aarch64) = TABLE.iter().find(|&&(name, ..)| name == call)?;
        match self {
            Self::X86_64 => x86_64,
            Self::Aarch64 => aarch64,
        }
    }
}

/// Whether the plan may name this call: whether some architecture has it.
#[must_use]
pub fn is_known(call: &str) -> bool {
    TABLE.iter().any(|&(name, ..)| name == call)
}

/// Name, number on `x86_64`, number on `aarch64`.
const TABLE: &[(&str, Option<u32>, Option<u32>)] = &[
    ("accept", Some(43), Some(202)),
    ("accept4", Some(288), Some(242)),
    ("chmod", Some(90), None),
    ("chown", Some(92), None),
    ("close", Some(3), Some(57)),
    ("close_range", Some(436), Some(436)),
    ("connect", Some(42), Some(203)),
    ("copy_file_range", Some(326), Some(285)),
    ("creat", Some(85), None),
    ("dup2", Some(33), None),
    ("dup3", Some(292), Some(24)),
    ("fallocate", Some(285), Some(47)),
    ("fchmod", Some(91), Some(52)),
    ("fchmodat", Some(268), Some(53)),
    ("fchmodat2", Some(452), Some(452)),
    ("fchown", Some(93), Some(55)),
    ("fchownat", Some(260), Some(54)),
    ("fremovexattr", Some(199), Some(16)),
    ("fsetxattr", Some(190), Some(7)),
    ("ftruncate", Some(77), Some(46)),
    ("futimesat", Some(261), None),
    ("lchown", Some(94), None),
    ("link", Some(86), None),
    ("linkat", Some(265), Some(37)),
    ("listen", Some(50), Some(201)),
    ("lremovexattr", Some(198), Some(15)),
    ("lsetxattr", Some(189), Some(6)),
    ("mkdir", Some(83), None),
    ("mkdirat", Some(258), Some(34)),
    ("mknod", Some(133), None),
    ("mknodat", Some(259), Some(33)),
    ("mmap", Some(9), Some(222)),
    ("open", Some(2), None),
    ("open_by_handle_at", Some(304), Some(265)),
    ("openat", Some(257), Some(56)),
    ("openat2", Some(437), Some(437)),
    ("pwrite64", Some(18), Some(68)),
    ("pwritev", Some(296), Some(70)),
    ("pwritev2", Some(328), Some(287)),
    ("removexattr", Some(197), Some(14)),
    ("removexattrat", Some(466), Some(466)),
    ("rename", Some(82), None),
    ("renameat", Some(264), Some(38)),
    ("renameat2", Some(316), Some(276)),
    ("rmdir", Some(84), None),
    ("sendfile", Some(40), Some(71)),
    ("setxattr", Some(188), Some(5)),
    ("setxattrat", Some(463), Some(463)),
    ("splice", Some(275), Some(76)),
    ("symlink", Some(88), None),
    ("symlinkat", Some(266), Some(36)),
    ("truncate", Some(76), Some(45)),
    ("unlink", Some(87), None),
    ("unlinkat", Some(263), Some(35)),
    ("utime", Some(132), None),
    ("utimensat", Some(280), Some(88)),
    ("utimes", Some(235), None),
    ("write", Some(1), Some(64)),
    ("writev", Some(20), Some(66)),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with libc, which defines a constant exactly for the calls of the architecture it builds for.
    macro_rules! check {
        ($arch:expr; $($call:ident)*) => {
            $(
                let name = stringify!($call).trim_start_matches("SYS_");
                assert_eq!($arch.number(name), Some(libc::$call as u32), "{name}");
            )*
        };
    }

    #[test]
    fn numbers_are_those_of_libc() {
        #[cfg(target_arch = "x86_64")]
        let arch = Arch::X86_64;
        #[cfg(target_arch = "aarch64")]
        let arch = Arch::Aarch64;
        check!(arch;
            SYS_accept SYS_accept4 SYS_close SYS_close_range SYS_connect SYS_copy_file_range SYS_dup3 SYS_fallocate SYS_fchmod SYS_fchmodat
            SYS_fchown SYS_fchownat SYS_fremovexattr SYS_fsetxattr SYS_ftruncate SYS_linkat
            SYS_listen SYS_lremovexattr SYS_lsetxattr SYS_mkdirat SYS_mknodat SYS_mmap SYS_open_by_handle_at
            SYS_openat SYS_openat2 SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_removexattr SYS_renameat
            SYS_renameat2 SYS_sendfile SYS_setxattr SYS_splice SYS_symlinkat SYS_truncate SYS_unlinkat
            SYS_utimensat SYS_write SYS_writev
        );
        #[cfg(target_arch = "x86_64")]
        check!(arch;
            SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_futimesat SYS_lchown SYS_link SYS_mkdir SYS_mknod SYS_open
            SYS_rename SYS_rmdir SYS_symlink SYS_unlink SYS_utime SYS_utimes
            // Of an age at which every architecture gets the same number; libc has it for this one only.
            SYS_fchmodat2
        );
    }

    #[test]
    fn an_architecture_lacks_what_it_never_had() {
        assert_eq!(Arch::Aarch64.number("open"), None);
        assert_eq!(Arch::Aarch64.number("openat"), Some(56));
        assert_eq!(Arch::X86_64.number("no_such_call"), None);
        assert!(is_known("open") && !is_known("no_such_call"));
        assert_eq!(Arch::from_machine("riscv64"), None);
    }
}
