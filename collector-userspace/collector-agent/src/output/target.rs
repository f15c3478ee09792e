//! Where events are written to.

use std::fs::File;
use std::io::{self, IsTerminal as _, Stdout, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::privileges::{Account, give};

/// Standard output or a file.
#[derive(Debug)]
pub(crate) enum Target {
    /// Standard output.
    Stdout(Stdout),
    /// A file, appended to.
    File(File),
}

impl Target {
    /// Standard output, or the file at `path`. If it is new it is readable by its owner only, since command lines hold secrets,
    /// and belongs to `owner` if one is named.
    pub(crate) fn open(path: Option<&Path>, owner: Option<&Account>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout(io::stdout())) };
        let mut options = File::options();
        options.append(true).mode(0o600);
        match options.clone().create_new(true).open(path) {
            Ok(file) => {
                owner.map_or(Ok(()), |owner| give(&file, owner))?;
                Ok(Self::File(file))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Or a link that leads to nothing yet.
                options.create(true).open(path).map(Self::File)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout(stdout) => stdout.is_terminal(),
            Self::File(file) => file.is_terminal(),
        }
    }

    /// Columns, if it is a terminal.
    pub(crate) fn width(&self) -> Option<usize> {
        let size = match self {
            Self::Stdout(stdout) if stdout.is_terminal() => rustix::termios::tcgetwinsize(stdout),
            Self::File(file) if file.is_terminal() => rustix::termios::tcgetwinsize(file),
            _ => return None,
        };
        size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }

    /// Writes all of it, at once.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::File(file) => file.write_all(bytes),
        }
    }
}
