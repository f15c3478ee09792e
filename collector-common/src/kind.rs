//! Domains and kinds of records. Numbers are part of the wire format: never reuse one.

/// A family of records with its own ring, sequence and loss ledger, so that a storm in one costs nothing in
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Domain {
    /// Process life: exec, fork, exit.
    Process = 0,
    /// Sockets.
    Network = 1,
    /// Files and directories.
    File = 2,
}

impl Domain {
    /// Number of domains.
    pub const COUNT: usize = 3;
    /// Every domain, in numeric order.
    pub const ALL: [Self; Self::COUNT] = [Self::Process, Self::Network, Self::File];

    /// The name used in JSON, metrics and the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Network => "network",
            Self::File => "file",
        }
    }
}

/// A number that names no kind of this wire version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind(pub u16);

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $domain:ident, $name:literal;)*) => {
        /// What happened. The number stands in [`RecordHeader::kind`](crate::RecordHeader::kind).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Kind {
            $($(#[$doc])* $variant = $number,)*
        }

        impl Kind {
            /// Every kind, in numeric order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used in JSON, metrics and the command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The domain whose ring and sequence carry this kind.
            #[must_use]
            pub const fn domain(self) -> Domain {
                match self { $(Self::$variant => Domain::$domain,)* }
            }
        }

        impl TryFrom<u16> for Kind {
            type Error = UnknownKind;
            fn try_from(number: u16) -> Result<Self, UnknownKind> {
                match number {
                    $($number => Ok(Self::$variant),)*
                    other => Err(UnknownKind(other)),
                }
            }
        }
    };
}

kinds! {
    /// A process image was replaced. Payload: `ExecWire`.
    ProcessExec = 1, Process, "process.exec";
    /// A new process (not a thread). Payload: `ForkWire`.
    ProcessFork = 2, Process, "process.fork";
    /// The last thread of a process ended. Payload: `ExitWire`.
    ProcessExit = 3, Process, "process.exit";
    /// An outgoing TCP connection reached its result. Payload: `NetworkWire`.
    NetworkConnect = 16, Network, "network.connect";
    /// A TCP connection was accepted. Payload: `NetworkWire`.
    NetworkAccept = 17, Network, "network.accept";
    /// A TCP socket began to listen. Payload: `NetworkWire`.
    NetworkListen = 18, Network, "network.listen";
    /// A TCP connection ended. Payload: `NetworkWire`.
    NetworkClose = 19, Network, "network.close";
    /// A process sent UDP to a destination it had not sent to before. Payload: `NetworkWire`.
    NetworkSend = 20, Network, "network.send";
    /// A file, directory, node or FIFO came into being. Payload: `FileWire`.
    FileCreate = 32, File, "file.create";
    /// An existing file was opened for writing. Payload: `FileWire`.
    FileOpen = 33, File, "file.open";
    /// A file was closed after it had been written through that description. Payload: `FileWire`.
    FileModify = 34, File, "file.modify";
    /// A name was removed. Payload: `FileWire`.
    FileDelete = 35, File, "file.delete";
    /// A name was changed. Payload: `FileWire`.
    FileRename = 36, File, "file.rename";
    /// A hard or symbolic link was made. Payload: `FileWire`.
    FileLink = 37, File, "file.link";
    /// Mode, owner, times or an extended attribute changed. Payload: `FileWire`.
    FileAttributes = 38, File, "file.attributes";
}

impl Kind {
    /// One more than the highest number in use: the size of tables indexed by kind.
    pub const LIMIT: usize = 64;

    /// This kind's bit in [`Settings::kinds`](crate::Settings::kinds).
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << (self as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_fit_the_switch_word() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::try_from(kind as u16), Ok(kind));
            assert!((kind as usize) < Kind::LIMIT, "{kind:?} has no bit in Settings::kinds");
            assert!(kind.name().starts_with(kind.domain().name()));
        }
        assert_eq!(Kind::try_from(0), Err(UnknownKind(0)));
        assert_eq!(Kind::try_from(999), Err(UnknownKind(999)));
    }
}
