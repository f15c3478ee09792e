//! The only code that puts entries into the tables that forget, and takes them out: it counts both.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::maps::LruHashMap;
use collector_common::{LossReason, Table, table_slot};

use crate::maps::TABLES;
use crate::{emit, filter};

/// `BPF_NOEXIST`.
const NEW: u64 = 1;
/// What the kernel says when there is an entry.
const EEXIST: i32 = -17;

/// Remembers `value` under `key`. An entry that is there already belongs to an object whose end nobody saw.
#[inline(always)]
pub fn remember<V>(table: Table, map: &LruHashMap<u64, V>, key: u64, value: &V) {
    if filter::halted() {
        return;
    }
    match map.insert(key, value, NEW) {
        Ok(()) => count(table, false),
        Err(EEXIST) if map.insert(key, value, 0).is_ok() => {
            emit::count(table.missing(), LossReason::CloseUnseen);
        }
        Err(_) => emit::count(table.missing(), LossReason::TableFull),
    }
}

/// Forgets what is under `key`. Of several callers at once only one finds it.
#[inline(always)]
pub fn forget<V>(table: Table, map: &LruHashMap<u64, V>, key: u64) -> bool {
    let found = !filter::halted() && map.remove(key).is_ok();
    if found {
        count(table, true);
    }
    found
}

#[inline(always)]
fn count(table: Table, taken_out: bool) {
    if let Some(counter) = TABLES.get_ptr_mut(table_slot(table, taken_out)) {
        // SAFETY: a valid, aligned map value. Atomic, because a network probe may interrupt another one.
        let _: u64 = unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, 1) };
    }
}
