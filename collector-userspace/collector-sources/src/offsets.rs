//! Resolves [`Offsets`] against the BTF of the running kernel.

use std::mem::{offset_of, size_of};

use collector_common::{MISSING, Offsets};
use serde::Serialize;
use zerocopy::IntoBytes;

use crate::btf::{Btf, Class, LookupError};

/// Outcome of resolving: what the kernel programs get, and what this kernel does not have.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The values; [`MISSING`] where the kernel has none.
    pub offsets: Offsets,
    /// Entries without a value.
    pub missing: Vec<MissingOffset>,
}

/// An entry of [`Offsets`] that the running kernel does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingOffset {
    /// What was looked for, from [`Offsets::PATHS`].
    pub path: &'static str,
    /// Why it was not found.
    pub reason: String,
}

/// One entry of [`Offsets`], by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name of the struct field.
    pub name: &'static str,
    index: usize,
}

impl Field {
    /// What the entry stands for.
    #[must_use]
    pub fn path(self) -> &'static str {
        Offsets::PATHS.get(self.index).copied().unwrap_or(self.name)
    }
}

/// A list of [`Field`]s; a name that [`Offsets`] does not have fails to compile.
macro_rules! fields {
    ($($name:ident)*) => {
        &[$(Field { name: stringify!($name), index: offset_of!(Offsets, $name) / size_of::<u32>() }),*]
    };
}

// What the programs read without asking whether the kernel has it: a program that lacks one of these would be
// refused by the verifier, or read nonsense. A test compares the lists with the programs.

/// Who acted, in every record.
pub const TASK: &[Field] = fields! {
    task_flags task_pid task_tgid task_comm task_real_parent task_group_leader task_start task_self_exec_id
    task_real_cred cred_uid cred_gid task_nsproxy nsproxy_mnt_ns mnt_namespace_inum nsproxy_net_ns net_inum
    task_cgroups css_set_dfl_cgrp cgroup_kn kn_id kn_parent task_mm mm_start_stack
};
/// Credentials, namespaces and parent of a new process or image.
pub const CREDENTIALS: &[Field] = fields! {
    cred_euid cred_egid cred_cap_effective cred_user_ns user_namespace_inum task_thread_pid pid_level pid_numbers
    sizeof_upid upid_nr upid_ns pid_namespace_inum
};
/// A new image.
pub const EXEC: &[Field] = fields! {
    bprm_file bprm_argc bprm_secureexec bprm_secureexec_bit bprm_filename bprm_interp mm_arg_start mm_arg_end
    file_inode file_dentry file_mnt inode_ino inode_mode inode_nlink inode_sb sb_dev vfsmount_flags
    task_fs fs_pwd_dentry fs_pwd_mnt kn_name
};
/// The end of a process, as opposed to that of a thread.
pub const EXIT: &[Field] = fields! {
    task_signal signal_live signal_flags signal_group_exit_code task_exit_code cred_euid
};
/// A path from a dentry and a mount.
pub const PATH: &[Field] = fields! {
    dentry_parent dentry_name_len dentry_name mount_mnt mount_parent mount_mountpoint vfsmount_root
};
/// From a descriptor to its description.
pub const DESCRIPTOR: &[Field] = fields! { task_files files_fdt fdt_max fdt_fd };
/// From a description to its file.
pub const FILE: &[Field] = fields! {
    file_inode file_flags file_mode file_dentry file_mnt inode_ino inode_size inode_mode inode_uid inode_gid
    inode_nlink inode_sb sb_dev
};
/// Directories that names are relative to.
pub const NAMES: &[Field] = fields! {
    task_fs fs_root_dentry fs_root_mnt fs_pwd_dentry fs_pwd_mnt file_dentry file_mnt
};
/// Which descriptors are open.
pub const OPEN_SET: &[Field] = fields! { fdt_open };
/// Which descriptors an exec closes, and whether it closes them for good.
pub const CLOSED_BY_EXEC: &[Field] = fields! { fdt_close_on_exec files_count task_signal signal_threads };
/// Whether a process that ends is the last to use its descriptors.
pub const LEFT_OPEN: &[Field] = fields! { files_count task_signal signal_live };
/// Ends of a connection. IPv6 is left out on kernels built without it: such a socket cannot exist there.
pub const SOCKET: &[Field] = fields! {
    sk_family sk_protocol sk_state inet_sport sk_dport sk_daddr sk_rcv_saddr
};
/// Result and volume of a TCP connection.
pub const TCP: &[Field] = fields! { sk_err sk_flags sock_done tcp_bytes_sent tcp_bytes_received };
/// From a description to its socket.
pub const SOCKET_FILE: &[Field] = fields! { file_inode inode_mode file_private socket_sk };
/// A listening socket.
pub const LISTEN: &[Field] = fields! { sk_max_ack_backlog };
/// A packet about to leave.
pub const PACKET: &[Field] = fields! {
    skb_sk skb_head skb_network_header skb_transport_header skb_protocol sk_protocol
};
/// Control groups of the separate memory hierarchy; needed only where it is in use.
pub const CGROUP_V1: &[Field] = fields! { css_set_subsys css_cgroup memory_cgrp_id };
/// A path that the kernel hands around.
pub const PATH_ARGUMENT: &[Field] = fields! { path_dentry path_mnt };
/// What a dentry leads to.
pub const DENTRY: &[Field] = fields! {
    dentry_inode inode_ino inode_size inode_mode inode_uid inode_gid inode_nlink inode_sb sb_dev
};
/// Flags of an open, as the kernel goes by them.
pub const OPENING: &[Field] = fields! { open_flags };
/// Where functions that change directories take and return things.
pub const MAKING: &[Field] =
    fields! { mkdir_dentry mkdir_result mknod_dentry mknod_result create_dentry create_result };
/// See [`MAKING`].
pub const REMOVING: &[Field] = fields! { unlink_dentry unlink_result rmdir_dentry rmdir_result };
/// See [`MAKING`].
pub const RENAMING: &[Field] = fields! { rename_old_dentry rename_result };
/// See [`MAKING`].
pub const LINKING: &[Field] = fields! { link_new_dentry link_result symlink_dentry symlink_result };
/// Where the function that changes attributes takes and returns things.
pub const CHANGING: &[Field] = fields! { change_dentry change_attr change_result iattr_valid iattr_file };
/// What an exec replaces, before it does.
pub const CREDS_FROM_FILE: &[Field] = fields! { files_count task_signal signal_threads };
/// What the programs ask for before reading it: without these a record has less in it.
pub const OPTIONAL: &[Field] = fields! {
    task_status task_io_uring task_loginuid task_sessionid mm_task_size tcp_bytes_retrans sk_v6_daddr sk_v6_rcv_saddr
};

/// What the programs take for granted about how fields lie to each other, so as to read several at once.
/// Entries are not checked where one of their fields is missing: that is reported as such.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption {
        what: "dentry.d_parent, d_name.hash, d_name.len and d_name.name follow each other",
        fields: fields! { dentry_parent dentry_name_len dentry_name },
        holds: |words| matches!(words, [parent, len, name] if *len == parent.wrapping_add(12) && *name == parent.wrapping_add(16)),
    },
    Assumption {
        what: "struct upid is two words",
        fields: fields! { sizeof_upid upid_nr upid_ns },
        holds: |words| matches!(words, [16, 0, 8] | [16, 8, 0]),
    },
];

/// An assumption about several fields.
#[derive(Clone, Copy, Debug)]
pub struct Assumption {
    /// What is assumed.
    pub what: &'static str,
    /// The fields it is about.
    pub fields: &'static [Field],
    holds: fn(&[u32]) -> bool,
}

impl Assumption {
    /// Whether it holds for this kernel.
    #[must_use]
    pub fn holds(&self, offsets: &Resolved) -> bool {
        let words: Option<Vec<u32>> = self.fields.iter().map(|&field| offsets.value(field)).collect();
        words.is_none_or(|words| (self.holds)(&words))
    }
}

impl Resolved {
    /// The outcome without any BTF.
    #[must_use]
    pub fn nothing() -> Self {
        let reason = LookupError::NoType("BTF".to_owned()).to_string();
        let missing = |path| MissingOffset { path, reason: reason.clone() };
        Self { offsets: Offsets::EMPTY, missing: Offsets::PATHS.into_iter().map(missing).collect() }
    }

    /// Whether the kernel has all of these.
    #[must_use]
    pub fn has(&self, fields: &[Field]) -> bool {
        fields.iter().all(|&field| self.value(field).is_some())
    }

    /// Value of an entry, if the kernel has it.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<u32> {
        let words: [u32; Offsets::COUNT] = zerocopy::transmute!(self.offsets);
        words.get(field.index).copied().filter(|&value| value != MISSING)
    }

    /// The entries as bytes, for `EbpfLoader::override_global`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.offsets.as_bytes()
    }
}

/// Names of the types that [`resolve`] looks up: what [`Btf::parse`] must index for it.
pub fn names() -> impl Iterator<Item = &'static str> {
    Offsets::PATHS
        .into_iter()
        .flat_map(|path| path.split('|'))
        .filter_map(Query::parse)
        .map(|query| query.name())
}

/// Looks up every entry of [`Offsets`]. `btf` must have been parsed with [`names`].
#[must_use]
pub fn resolve(btf: &Btf<'_>) -> Resolved {
    let mut words = [MISSING; Offsets::COUNT];
    let mut missing = Vec::new();
    for (path, word) in Offsets::PATHS.into_iter().zip(&mut words) {
        match resolve_path(btf, path) {
            Ok(value) => *word = value,
            Err(reason) => missing.push(MissingOffset { path, reason: reason.to_string() }),
        }
    }
    Resolved { offsets: zerocopy::transmute!(words), missing }
}

/// Why an entry has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not in the language of [`Offsets::PATHS`].
    #[error("malformed path")]
    Malformed,
    /// The kernel has no such thing.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The member is a bit field: it has no byte offset.
    #[error("is a bit field")]
    BitField,
    /// The value does not fit, or is the one that means missing.
    #[error("value {0} is out of range")]
    OutOfRange(i128),
}

/// Resolves one entry of [`Offsets::PATHS`]: the first of its alternatives that the kernel has.
///
/// # Errors
/// The reason of the first alternative when there is none.
pub fn resolve_path(btf: &Btf<'_>, path: &str) -> Result<u32, PathError> {
    let mut first = None;
    for alternative in path.split('|') {
        match Query::parse(alternative).ok_or(PathError::Malformed).and_then(|query| query.ask(btf)) {
            Ok(value) => return Ok(value),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or(PathError::Malformed))
}

/// One alternative of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Query<'p> {
    /// `struct.member[.member…]`: byte offset.
    Member(&'p str, Vec<&'p str>),
    /// `bits struct.member`: byte offset of the aligned 32-bit word that holds the member's first bit.
    BitWord(&'p str, Vec<&'p str>),
    /// `bit struct.member`: number of that bit in the word.
    Bit(&'p str, Vec<&'p str>),
    /// `sizeof struct`.
    SizeOf(&'p str),
    /// `enum enum_name.value`.
    Enum(&'p str, &'p str),
    /// `arg function.parameter`: its position.
    Argument(&'p str, &'p str),
    /// `args function`: how many parameters it has, which is where an fexit program finds the result.
    Arguments(&'p str),
}

impl<'p> Query<'p> {
    fn parse(text: &'p str) -> Option<Self> {
        let (verb, object) = text.split_once(' ').unwrap_or(("", text));
        if verb == "sizeof" {
            return Some(Self::SizeOf(object));
        }
        if verb == "args" {
            return Some(Self::Arguments(object));
        }
        let (name, members) = object.split_once('.')?;
        let path = members.split('.').collect();
        match verb {
            "" => Some(Self::Member(name, path)),
            "bits" => Some(Self::BitWord(name, path)),
            "bit" => Some(Self::Bit(name, path)),
            "enum" => Some(Self::Enum(name, members)),
            "arg" => Some(Self::Argument(name, members)),
            _ => None,
        }
    }

    fn name(&self) -> &'p str {
        match self {
            Self::Member(name, _)
            | Self::BitWord(name, _)
            | Self::Bit(name, _)
            | Self::SizeOf(name)
            | Self::Enum(name, _)
            | Self::Argument(name, _)
            | Self::Arguments(name) => name,
        }
    }

    fn ask(&self, btf: &Btf<'_>) -> Result<u32, PathError> {
        let value = match self {
            Self::Member(name, path) => {
                let member = btf.member(name, path)?;
                if member.bit_size.is_some() || member.bit_offset % 8 != 0 {
                    return Err(PathError::BitField);
                }
                i128::from(member.bit_offset / 8)
            }
            // Bits are numbered from the least significant one of a little-endian word.
            Self::BitWord(name, path) => i128::from(btf.member(name, path)?.bit_offset / 32 * 4),
            Self::Bit(name, path) => i128::from(btf.member(name, path)?.bit_offset % 32),
            Self::SizeOf(name) => i128::from(btf.size_of(name)?),
            Self::Enum(name, value) => btf.enum_value(name, value)?,
            Self::Argument(name, parameter) => i128::from(btf.parameter_index(name, parameter)?),
            Self::Arguments(name) => i128::from(btf.parameter_count(Class::Function, name)?),
        };
        u32::try_from(value).ok().filter(|&word| word != MISSING).ok_or(PathError::OutOfRange(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::tests::Builder;

    #[test]
    fn every_path_is_in_the_language() {
        for path in Offsets::PATHS {
            for alternative in path.split('|') {
                assert!(Query::parse(alternative).is_some(), "{alternative}");
            }
        }
    }

    #[test]
    fn fields_name_their_own_path() {
        assert_eq!((TASK[1].name, TASK[1].path()), ("task_pid", "task_struct.pid"));
        assert_eq!((PATH[2].name, PATH[2].path()), ("dentry_name", "dentry.d_name.name"));
        assert_eq!((PACKET[0].name, PACKET[0].path()), ("skb_sk", "sk_buff.sk"));
    }

    #[test]
    fn an_assumption_is_checked_where_all_its_fields_are_known() {
        let mut resolved = Resolved::nothing();
        assert!(ASSUMPTIONS.iter().all(|assumption| assumption.holds(&resolved)));
        resolved.offsets.dentry_parent = 24;
        resolved.offsets.dentry_name_len = 36;
        resolved.offsets.dentry_name = 40;
        assert!(ASSUMPTIONS[0].holds(&resolved));
        resolved.offsets.dentry_name_len = 44;
        assert!(!ASSUMPTIONS[0].holds(&resolved));
    }

    #[test]
    fn a_kernel_without_types_misses_everything() {
        let blob = Builder::default().finish();
        let resolved = resolve(&Btf::parse(&blob, names()).unwrap());
        assert_eq!(resolved.offsets, Offsets::EMPTY);
        assert_eq!(resolved.missing.len(), Offsets::COUNT);
        assert_eq!(resolved.value(TASK[0]), None);
    }

    #[test]
    fn alternatives_bits_sizes_and_enums_resolve() {
        let mut builder = Builder::default();
        let int = builder.int("int", 32);
        builder.composite(4, "s", 16, true, &[("a", int, 0), ("b", int, (1 << 24) | 67)]);
        builder.enumeration("e", true, &[("three", 3), ("minus", u32::MAX)]);
        let blob = builder.finish();
        let btf = Btf::parse(&blob, ["s", "e", "gone"]).unwrap();
        assert_eq!(resolve_path(&btf, "gone.a|s.a"), Ok(0));
        assert_eq!(resolve_path(&btf, "s.z|s.a"), Ok(0));
        assert_eq!(resolve_path(&btf, "s.b"), Err(PathError::BitField));
        assert_eq!(resolve_path(&btf, "bits s.b"), Ok(8));
        assert_eq!(resolve_path(&btf, "bit s.b"), Ok(3));
        assert_eq!(resolve_path(&btf, "sizeof s"), Ok(16));
        assert_eq!(resolve_path(&btf, "enum e.three"), Ok(3));
        assert_eq!(resolve_path(&btf, "enum e.minus"), Err(PathError::OutOfRange(-1)));
        assert_eq!(resolve_path(&btf, "nonsense"), Err(PathError::Malformed));
        assert_eq!(Query::parse("arg f.x"), Some(Query::Argument("f", "x")));
        assert_eq!(Query::parse("args f"), Some(Query::Arguments("f")));
        assert_eq!(
            resolve_path(&btf, "gone.a"),
            Err(PathError::Lookup(LookupError::NoType("gone".to_owned())))
        );
    }
}
