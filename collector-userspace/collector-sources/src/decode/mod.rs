//! Bytes of a ring to typed records: total, without unsafe.
//!
//! Kernel bytes are taken as hostile: lengths, version, kind, capture and every string range are checked, and what
//! does not fit is an error with a kind to count it by. Nothing is interpreted here: that is `adapt`'s business.

mod argv;
mod error;
#[cfg(test)]
mod tests;

use collector_common::{
    Capture, ExecWire, ExitWire, FileWire, ForkWire, Kind, NetworkWire, RecordHeader, StrRef, TaskWire,
    WIRE_VERSION,
};
use zerocopy::FromBytes;

pub use argv::Arguments;
pub use error::{DecodeError, DecodeErrorKind};

/// A decoded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// `process.exec`.
    Exec(ExecRecord<'a>),
    /// `process.fork`.
    Fork(ForkRecord),
    /// `process.exit`.
    Exit(ExitRecord),
    /// Any kind of the network domain.
    Network(NetworkRecord),
    /// Any kind of the file domain.
    File(FileRecord<'a>),
}

/// An exec, with its strings resolved to ranges of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecRecord<'a> {
    /// The fixed part.
    pub wire: ExecWire,
    /// Where the content was read.
    pub capture: Capture,
    /// The argument vector as it lay in memory; see [`ExecRecord::arguments`].
    pub argv: Option<&'a [u8]>,
    /// Path of the executable.
    pub exe: Option<&'a [u8]>,
    /// Current directory.
    pub cwd: Option<&'a [u8]>,
    /// Path as given to exec.
    pub filename: Option<&'a [u8]>,
    /// Interpreter the kernel chose.
    pub interp: Option<&'a [u8]>,
    /// Control group names from the leaf upward, each followed by `/`.
    pub cgroup: Option<&'a [u8]>,
}

/// A fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkRecord {
    /// The whole record.
    pub wire: ForkWire,
    /// Where the content was read.
    pub capture: Capture,
}

/// An exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitRecord {
    /// The whole record.
    pub wire: ExitWire,
    /// Where the content was read.
    pub capture: Capture,
}

/// A socket event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRecord {
    /// The whole record.
    pub wire: NetworkWire,
    /// Which of the network kinds.
    pub kind: Kind,
    /// Where the content was read.
    pub capture: Capture,
}

/// A file event, with its strings resolved to ranges of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRecord<'a> {
    /// The fixed part.
    pub wire: FileWire,
    /// Which of the file kinds.
    pub kind: Kind,
    /// Where the content was read.
    pub capture: Capture,
    /// Directory or whole path.
    pub base: Option<&'a [u8]>,
    /// Name given by the program.
    pub name: Option<&'a [u8]>,
    /// Base of the old name or of the target.
    pub old_base: Option<&'a [u8]>,
    /// Old name, or target.
    pub old_name: Option<&'a [u8]>,
}

impl Record<'_> {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &RecordHeader {
        match self {
            Self::Exec(record) => &record.wire.header,
            Self::Fork(record) => &record.wire.header,
            Self::Exit(record) => &record.wire.header,
            Self::Network(record) => &record.wire.header,
            Self::File(record) => &record.wire.header,
        }
    }

    /// The process that acted.
    #[must_use]
    pub const fn task(&self) -> &TaskWire {
        match self {
            Self::Exec(record) => &record.wire.task,
            Self::Fork(record) => &record.wire.task,
            Self::Exit(record) => &record.wire.task,
            Self::Network(record) => &record.wire.task,
            Self::File(record) => &record.wire.task,
        }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Exec(_) => Kind::ProcessExec,
            Self::Fork(_) => Kind::ProcessFork,
            Self::Exit(_) => Kind::ProcessExit,
            Self::Network(record) => record.kind,
            Self::File(record) => record.kind,
        }
    }
}

impl<'a> ExecRecord<'a> {
    /// The arguments, in order. Empty ones count, and so does the unterminated last piece of a vector that was cut.
    #[must_use]
    pub fn arguments(&self) -> Arguments<'a> {
        Arguments::new(self.argv.unwrap_or_default())
    }
}

/// Reads the header alone: enough to count a record whose rest cannot be decoded.
///
/// # Errors
/// Too few bytes, another version, or a length that the bytes do not have.
pub fn decode_header(bytes: &[u8]) -> Result<RecordHeader, DecodeError> {
    let (header, _) = RecordHeader::read_from_prefix(bytes)
        .map_err(|_| DecodeError::HeaderTruncated { have: bytes.len() })?;
    if header.version != WIRE_VERSION {
        return Err(DecodeError::Version(header.version));
    }
    if header.len as usize > bytes.len() || (header.len as usize) < size_of::<RecordHeader>() {
        return Err(DecodeError::Length { stated: header.len, have: bytes.len() });
    }
    Ok(header)
}

/// Reads one record. Bytes after the length the header states are slack of the ring and ignored.
///
/// # Errors
/// Anything that does not fit the wire format; see [`DecodeErrorKind`].
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, DecodeError> {
    let header = decode_header(bytes)?;
    let bytes = bytes.get(..header.len as usize).unwrap_or(bytes);
    let kind = Kind::try_from(header.kind).map_err(|unknown| DecodeError::Kind(unknown.0))?;
    let capture = Capture::from_number(header.capture).ok_or(DecodeError::Capture(header.capture))?;
    match kind {
        Kind::ProcessExec => decode_exec(bytes, capture).map(Record::Exec),
        Kind::ProcessFork => {
            payload::<ForkWire>(bytes, kind).map(|wire| Record::Fork(ForkRecord { wire, capture }))
        }
        Kind::ProcessExit => {
            payload::<ExitWire>(bytes, kind).map(|wire| Record::Exit(ExitRecord { wire, capture }))
        }
        Kind::NetworkConnect
        | Kind::NetworkAccept
        | Kind::NetworkListen
        | Kind::NetworkClose
        | Kind::NetworkSend => payload::<NetworkWire>(bytes, kind)
            .map(|wire| Record::Network(NetworkRecord { wire, kind, capture })),
        Kind::FileCreate
        | Kind::FileOpen
        | Kind::FileModify
        | Kind::FileDelete
        | Kind::FileRename
        | Kind::FileLink
        | Kind::FileAttributes => decode_file(bytes, kind, capture).map(Record::File),
    }
}

fn decode_exec(bytes: &[u8], capture: Capture) -> Result<ExecRecord<'_>, DecodeError> {
    let wire = payload::<ExecWire>(bytes, Kind::ProcessExec)?;
    let strings = Strings { bytes, start: size_of::<ExecWire>(), kind: Kind::ProcessExec };
    Ok(ExecRecord {
        argv: strings.range("argv", wire.argv)?,
        exe: strings.range("exe", wire.exe)?,
        cwd: strings.range("cwd", wire.cwd)?,
        filename: strings.range("filename", wire.filename)?,
        interp: strings.range("interp", wire.interp)?,
        cgroup: strings.range("cgroup", wire.cgroup)?,
        wire,
        capture,
    })
}

fn decode_file(bytes: &[u8], kind: Kind, capture: Capture) -> Result<FileRecord<'_>, DecodeError> {
    let wire = payload::<FileWire>(bytes, kind)?;
    let strings = Strings { bytes, start: size_of::<FileWire>(), kind };
    Ok(FileRecord {
        base: strings.range("base", wire.base)?,
        name: strings.range("name", wire.name)?,
        old_base: strings.range("old_base", wire.old_base)?,
        old_name: strings.range("old_name", wire.old_name)?,
        wire,
        kind,
        capture,
    })
}

fn payload<W: FromBytes>(bytes: &[u8], kind: Kind) -> Result<W, DecodeError> {
    // A copy rather than a reference: rings align records to 8 bytes, capture files do not.
    W::read_from_prefix(bytes).map(|(wire, _)| wire).map_err(|_| DecodeError::PayloadTruncated {
        kind,
        have: bytes.len(),
        need: size_of::<W>(),
    })
}

/// The string area of one record.
struct Strings<'a> {
    bytes: &'a [u8],
    /// Where the fixed part ends.
    start: usize,
    kind: Kind,
}

impl<'a> Strings<'a> {
    fn range(&self, field: &'static str, range: StrRef) -> Result<Option<&'a [u8]>, DecodeError> {
        if range.offset == 0 {
            return Ok(None);
        }
        let offset = range.offset as usize;
        let found = offset
            .checked_add(range.len as usize)
            .filter(|_| offset >= self.start)
            .and_then(|end| self.bytes.get(offset..end));
        match found {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(DecodeError::StringRange {
                kind: self.kind,
                field,
                offset: range.offset,
                len: range.len,
                record: self.bytes.len(),
            }),
        }
    }
}
