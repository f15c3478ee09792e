//! Resolves [`Offsets`] against the BTF of the running kernel.

use std::mem::{offset_of, size_of};

use collector_common::{MISSING, Offsets};
use serde::Serialize;
use zerocopy::IntoBytes;

use crate::btf::{Btf, LookupError};

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

/// Without these no record can say who acted.
pub const TASK: &[Field] = fields! {
    task_flags task_pid task_tgid task_comm task_group_leader task_start task_real_cred
    cred_uid cred_gid cred_euid cred_egid
};
/// Without these a process record would miss what it is about.
pub const PROCESS: &[Field] = fields! {
    task_real_parent task_mm mm_arg_start mm_arg_end bprm_file bprm_filename
};
/// Without these the end of a process cannot be told from the end of a thread.
pub const EXIT: &[Field] = fields! {
    task_signal task_exit_code signal_live signal_group_exit_code signal_flags
};
/// Without these no path can be built.
pub const PATH: &[Field] = fields! {
    file_mnt file_dentry dentry_parent dentry_name dentry_name_len
    mount_mnt mount_parent mount_mountpoint vfsmount_root task_fs fs_root_mnt fs_root_dentry
};
/// Without these a descriptor leads nowhere.
pub const DESCRIPTOR: &[Field] = fields! { task_files files_fdt fdt_max fdt_fd };
/// Without these a file record would not identify its file.
pub const FILE: &[Field] = fields! {
    file_mode file_flags file_inode inode_mode inode_ino inode_sb sb_dev fs_pwd_mnt fs_pwd_dentry
};
/// Without these a network record would have no end points. IPv6 is left out on kernels built without it.
pub const SOCKET: &[Field] = fields! {
    sk_family sk_state sk_dport sk_num sk_daddr sk_rcv_saddr sk_protocol
};
/// Without these a descriptor does not lead to a socket.
pub const SOCKET_FILE: &[Field] = fields! { inode_mode file_inode file_private socket_sk };
/// Without these the destination of a packet is unknown.
pub const PACKET: &[Field] = fields! {
    skb_sk skb_head skb_network_header skb_transport_header skb_protocol
};

impl Resolved {
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
}

impl<'p> Query<'p> {
    fn parse(text: &'p str) -> Option<Self> {
        let (verb, object) = text.split_once(' ').unwrap_or(("", text));
        if verb == "sizeof" {
            return Some(Self::SizeOf(object));
        }
        let (name, members) = object.split_once('.')?;
        let path = members.split('.').collect();
        match verb {
            "" => Some(Self::Member(name, path)),
            "bits" => Some(Self::BitWord(name, path)),
            "bit" => Some(Self::Bit(name, path)),
            "enum" => Some(Self::Enum(name, members)),
            _ => None,
        }
    }

    fn name(&self) -> &'p str {
        match self {
            Self::Member(name, _)
            | Self::BitWord(name, _)
            | Self::Bit(name, _)
            | Self::SizeOf(name)
            | Self::Enum(name, _) => name,
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
        for field in [TASK, PROCESS, EXIT, PATH, DESCRIPTOR, FILE, SOCKET, SOCKET_FILE, PACKET].concat() {
            let member = field.path().split(['|', ' ']).next().unwrap_or_default();
            assert!(member.contains('.'), "{} stands for {}", field.name, field.path());
        }
        assert_eq!(TASK[1].path(), "task_struct.pid");
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
        assert_eq!(
            resolve_path(&btf, "gone.a"),
            Err(PathError::Lookup(LookupError::NoType("gone".to_owned())))
        );
    }
}
