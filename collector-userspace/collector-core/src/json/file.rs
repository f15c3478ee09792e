//! The object of a file or directory.

use serde::{Serialize, Serializer};

use super::members::Members;
use super::short::ShortText;
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
        let mut object = Members::with_texts(serializer, texts)?;
        object.some_text("path", Some(path).filter(|path| !path.is_empty()))?;
        object.some_text("old_path", old_path.as_ref())?;
        object.some_text("target", target.as_ref())?;
        object.some("inode", *inode)?;
        object.some("device", device.map(ShortText::device))?;
        object.some("mount_ns", *mount_ns)?;
        object.some("mode", mode.map(ShortText::mode))?;
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
