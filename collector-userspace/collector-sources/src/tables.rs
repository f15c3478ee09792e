//! How much the kernel side's tables have forgotten: what was put in, and neither taken out nor is still there.

use std::mem::size_of;
use std::time::Instant;

use aya::Ebpf;
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray};
use collector_common::{LossReason, SocketOwner, TABLE_SLOTS, Table, Written, name, table_slot};

use crate::ledger::CounterDelta;
use crate::loader::LoadError;

/// Entries that a processor may keep for itself, unused, when the kernel already makes room (`LOCAL_FREE_TARGET`).
const FREE_PER_CPU: u64 = 128;

/// The share of the time that may go into looking through tables: 2 %.
const COST: u32 = 50;

/// The tables and their accounts.
pub(crate) struct Tables {
    accounts: PerCpuArray<MapData, u64>,
    sockets: Keys<{ size_of::<SocketOwner>() }>,
    written: Keys<{ size_of::<Written>() }>,
    cpus: u64,
    states: [State; Table::COUNT],
}

/// What is known of a table.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    forgotten: u64,
    /// Entries that had been put in when the table was last looked through: without a new one nothing is forgotten.
    put_in: u64,
    /// When it may be looked through again.
    next: Option<Instant>,
}

/// Totals of what tables have forgotten, to take differences from.
#[derive(Debug, Default)]
pub(crate) struct Forgotten([u64; Table::COUNT]);

impl Forgotten {
    /// Takes the total of a table and adds what it has gained to `deltas`.
    pub(crate) fn update(&mut self, table: Table, total: u64, deltas: &mut Vec<CounterDelta>) {
        let Some(last) = self.0.get_mut(table as usize) else { return };
        let count = total.saturating_sub(*last);
        *last = total.max(*last);
        if count > 0 {
            let (kind, reason) = (table.missing(), LossReason::TableFull);
            deltas.push(CounterDelta { kind, reason, cpu: CounterDelta::NO_CPU, count });
        }
    }
}

/// A table of which only the keys are of interest.
struct Keys<const SIZE: usize> {
    map: HashMap<MapData, u64, [u8; SIZE]>,
    capacity: u64,
}

impl Tables {
    /// Takes the maps out of the loaded object.
    pub(crate) fn take(ebpf: &mut Ebpf, cpus: u32) -> Result<Self, LoadError> {
        let accounts = PerCpuArray::try_from(map(ebpf, name::TABLES)?);
        Ok(Self {
            accounts: accounts.map_err(|source| LoadError::Map { map: name::TABLES, source })?,
            sockets: Keys::take(ebpf, name::SOCKETS)?,
            written: Keys::take(ebpf, name::WRITTEN)?,
            cpus: u64::from(cpus),
            states: Default::default(),
        })
    }

    /// Entries of `table` that were forgotten, as far as known.
    pub(crate) fn known(&self, table: Table) -> u64 {
        self.states.get(table as usize).map_or(0, |state| state.forgotten)
    }

    /// Entries of `table` that were forgotten so far. With `is_last`, when no program runs any more, all of them; before, as
    /// many as were found by looking now and then.
    pub(crate) fn forgotten(&mut self, table: Table, is_last: bool) -> u64 {
        let known = self.known(table);
        let Some((put_in, taken_out)) = self.account(table, false).zip(self.account(table, true)) else {
            return known;
        };
        let state = self.states.get(table as usize).copied().unwrap_or_default();
        // Nothing is forgotten while there is room. This many at most are there now.
        let there = put_in.saturating_sub(taken_out + known);
        let has_room = there < self.capacity(table).saturating_sub(FREE_PER_CPU * self.cpus);
        let begin = Instant::now();
        let is_due = put_in != state.put_in && state.next.is_none_or(|next| begin >= next);
        if has_room || !(is_due || is_last) {
            return known;
        }
        let mut found = self.count(table);
        if found.is_some_and(|found| found > known) {
            // What is taken out or moves while the table is looked through could be missed: what two looks agree on was not.
            found = found.min(self.count(table));
        }
        let forgotten = found.unwrap_or(known).max(known);
        if let Some(state) = self.states.get_mut(table as usize) {
            *state = State { forgotten, put_in, next: Some(begin + begin.elapsed() * COST) };
        }
        forgotten
    }

    fn capacity(&self, table: Table) -> u64 {
        match table {
            Table::Sockets => self.sockets.capacity,
            Table::Written => self.written.capacity,
        }
    }

    /// Entries that were put in, and were neither taken out nor are there. `None` if that could not be found out.
    fn count(&self, table: Table) -> Option<u64> {
        // Read before and after the rest, so that what happens meanwhile makes the result smaller.
        let put_in = self.account(table, false)?;
        let there = match table {
            Table::Sockets => self.sockets.count(),
            Table::Written => self.written.count(),
        }?;
        Some(put_in.saturating_sub(self.account(table, true)? + there))
    }

    fn account(&self, table: Table, taken_out: bool) -> Option<u64> {
        const { assert!(TABLE_SLOTS == 4) };
        Some(self.accounts.get(&table_slot(table, taken_out), 0).ok()?.iter().sum())
    }
}

impl<const SIZE: usize> Keys<SIZE> {
    fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, LoadError> {
        let failed = |source: MapError| LoadError::Map { map: name, source };
        let map = map(ebpf, name)?;
        let Map::LruHashMap(data) = &map else { return Err(LoadError::MapMissing(name)) };
        let capacity = u64::from(data.info().map_err(failed)?.max_entries());
        Ok(Self { map: HashMap::try_from(map).map_err(failed)?, capacity })
    }

    /// Entries that are there. `None` if the walk through them did not come to an end: it begins anew when the entry it has
    /// come to is taken out.
    fn count(&self) -> Option<u64> {
        let limit = 2 * self.capacity;
        let mut count = 0;
        for key in self.map.keys() {
            key.ok()?;
            count += 1;
            if count > limit {
                return None;
            }
        }
        Some(count)
    }
}

fn map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, LoadError> {
    ebpf.take_map(name).ok_or(LoadError::MapMissing(name))
}
