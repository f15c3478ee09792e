//! The object of a file or directory.

use serde::{Serialize, Serializer};

use super::members::{Members, Shown};
use crate::event::FilesystemEvent;

pub(super) struct File<'a>(pub(super) &'a FilesystemEvent);

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let FilesystemEvent {
            path,
            old_path,
            target,
            timestamp: _,
            pid: _,
            size,
            mode,
            file_hash,
            kind: _,
            meta: _,
            process: _,
            inode,
            device,
            mount_ns,
            owner,
            written,
            flags,
            result,
        } = self.0;
        let texts = std::iter::once(path).chain(old_path).chain(target);
        let mut object = Members::with_texts(serializer.serialize_map(None)?, texts)?;
        object.some_text("path", Some(path).filter(|path| !path.is_empty()))?;
        object.some_text("old_path", old_path.as_ref())?;
        object.some_text("target", target.as_ref())?;
        object.some("inode", *inode)?;
        object.some("device", device.map(|(major, minor)| Shown(Device { major, minor })))?;
        object.some("mount_ns", *mount_ns)?;
        object.some("mode", mode.map(|mode| Shown(Octal(mode))))?;
        object.some("owner", owner.map(|(uid, gid)| Owner { uid, gid }))?;
        object.some("size", *size)?;
        object.some("written", *written)?;
        object.words("flags", flags)?;
        object.some("file_hash", file_hash.as_deref())?;
        object.some("result", *result)?;
        object.end()
    }
}

#[derive(Serialize)]
struct Owner {
    uid: u32,
    gid: u32,
}

struct Device {
    major: u32,
    minor: u32,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A mode as C and `chmod` write it, with a leading zero.
struct Octal(u32);

impl std::fmt::Display for Octal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0{:o}", self.0)
    }
}
