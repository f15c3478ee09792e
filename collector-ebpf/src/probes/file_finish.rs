//! Second stage of the file probes: resolves paths and sends. One program per tracepoint it is called from.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::file;
use crate::maps::FILE_SCRATCH;
use crate::scratch::Scratch;

#[btf_tracepoint(function = "sys_exit")]
pub fn file_finish(_ctx: BtfTracePointContext) -> i32 {
    finish();
    0
}

#[btf_tracepoint(function = "sys_enter")]
pub fn file_finish_ent(_ctx: BtfTracePointContext) -> i32 {
    finish();
    0
}

#[inline(always)]
fn finish() {
    if let Some(scratch) = Scratch::get(&FILE_SCRATCH) {
        // SAFETY: a valid map value, begun by the first stage on this processor.
        unsafe { file::finish(scratch) };
    }
}
