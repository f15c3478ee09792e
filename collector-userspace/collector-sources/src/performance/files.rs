//! Reading small files again and again without allocating.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, read};

/// Bytes of the buffer at first: more than any file of a process that is read has.
const FIRST: usize = 4 << 10;
/// Most bytes read of a file. `/proc/stat` has some tens of kilobytes where there are many interrupts.
const MOST: usize = 1 << 20;

/// Opens a directory.
pub(super) fn open_directory(path: &Path) -> std::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// A buffer to read into.
#[derive(Debug)]
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; FIRST] }
    }

    /// The file, or its first megabyte.
    pub(super) fn read(&mut self, directory: BorrowedFd<'_>, path: &str) -> Result<&[u8], Errno> {
        let file = open(directory, path)?;
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                if length >= MOST {
                    break;
                }
                self.buffer.resize((length * 2).min(MOST), 0);
            }
            match self.fill(&file, length)? {
                0 => break,
                count => length += count,
            }
        }
        Ok(self.buffer.get(..length).unwrap_or_default())
    }

    /// What one call gives: all of a file with a single short line.
    pub(super) fn read_once(&mut self, directory: BorrowedFd<'_>, path: &str) -> Result<&[u8], Errno> {
        let file = open(directory, path)?;
        let length = self.fill(&file, 0)?;
        Ok(self.buffer.get(..length).unwrap_or_default())
    }

    fn fill(&mut self, file: &OwnedFd, from: usize) -> Result<usize, Errno> {
        loop {
            match read(file.as_fd(), self.buffer.get_mut(from..).unwrap_or_default()) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

fn open(directory: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    openat(directory, path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_whole_whatever_was_read_before() {
        let root = tempfile::tempdir().unwrap();
        let long: Vec<u8> = (0..3 * FIRST).map(|index| index as u8).collect();
        std::fs::write(root.path().join("long"), &long).unwrap();
        std::fs::write(root.path().join("short"), "x").unwrap();
        std::fs::write(root.path().join("huge"), vec![7; MOST + 1]).unwrap();
        let directory = open_directory(root.path()).unwrap();
        let mut reader = Reader::new();
        assert_eq!(reader.read(directory.as_fd(), "long").unwrap(), long);
        assert_eq!(reader.read(directory.as_fd(), "short").unwrap(), b"x");
        assert_eq!(reader.read_once(directory.as_fd(), "short").unwrap(), b"x");
        assert_eq!(reader.read(directory.as_fd(), "huge").unwrap().len(), MOST);
        assert_eq!(reader.read(directory.as_fd(), "none").unwrap_err(), Errno::NOENT);
    }
}
