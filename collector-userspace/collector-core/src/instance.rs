//! Telling ids made here from those made elsewhere or in an earlier run.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// A number that hardly anybody else has: from the clock, and different for each call.
pub(crate) fn number() -> u32 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // An odd factor: calls differ also where the clock does not.
    let call = CALLS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b1);
    (since.as_secs() as u32 ^ since.subsec_nanos()).wrapping_add(call)
}
