//! Layout as a compile error: sizes and alignment of every wire struct, checked on both targets.

use core::mem::{align_of, offset_of, size_of};

use crate::{
    Canary, CredentialsWire, ExecWire, ExitWire, FileWire, ForkWire, MUTED_WORDS, NetworkWire, Offsets,
    RecordHeader, Settings, SocketOwner, StrRef, TaskWire, Written,
};

macro_rules! assert_layout {
    ($($type:ty: $size:expr, align $align:expr;)*) => {
        $(const _: () = {
            assert!(size_of::<$type>() == $size, concat!(stringify!($type), " has another size"));
            assert!(align_of::<$type>() == $align, concat!(stringify!($type), " has another alignment"));
        };)*
    };
}

assert_layout! {
    RecordHeader: 32, align 8;
    StrRef: 8, align 4;
    TaskWire: 80, align 8;
    CredentialsWire: 56, align 8;
    ExecWire: 32 + 80 + 56 + 40 + 6 * 8, align 8;
    ForkWire: 32 + 80 + 56, align 8;
    ExitWire: 32 + 80 + 16, align 8;
    NetworkWire: 32 + 80 + 16 + 32 + 32, align 8;
    FileWire: 32 + 80 + 48 + 32, align 8;
    Settings: 32, align 8;
    SocketOwner: 80 + 16, align 8;
    Written: 24, align 8;
    Canary: 16 + 4 * MUTED_WORDS, align 4;
    Offsets: 4 * Offsets::COUNT, align 4;
}

// Decode reads header and task before it knows the kind: they must lead every payload.
const _: () = assert!(offset_of!(ExecWire, task) == 32 && offset_of!(ForkWire, task) == 32);
const _: () = assert!(offset_of!(ExitWire, task) == 32 && offset_of!(NetworkWire, task) == 32);
const _: () = assert!(offset_of!(FileWire, task) == 32);
