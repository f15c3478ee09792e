//! Many conditions, looked at in one pass per event.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::Condition;
use super::field::Field;
use super::keys::{Key, Part, hash_of, keys};
use super::scan::Scan;
use super::scratch::{Context, EventView, Scratch};
use crate::event::{KINDS, KindSet};

/// Conditions under ids. One pass tells which of them are true for an event, in the order in which they were inserted.
///
/// A condition that can be true only if a field has one of certain values (`name = 'nc'`, `executable LIKE '%/nc'`,
/// `remote_port IN (…)`) is found by a hash of that value. One that needs a text of three characters or more somewhere in a
/// field (`command_line LIKE '%secret%'`) is found by a search for all such texts at once, which the first event after a
/// change makes ready. So thousands of both sorts cost little more than one. All others, such as `REGEXP` or `NOT` alone, are
/// tried one by one for the kinds of events they can be true for, and each costs its own evaluation.
///
/// ```
/// use collector_core::condition::{Condition, ConditionSet, Scratch};
/// use collector_core::{CollectionEvent, ProcessEvent};
///
/// let mut set = ConditionSet::new();
/// set.insert("netcat", Condition::from_sql("name IN ('nc', 'ncat')")?);
/// set.insert("root", Condition::from_sql("uid = 0")?);
/// let event = CollectionEvent::Process(ProcessEvent { name: "nc".into(), uid: Some(0), ..Default::default() });
/// assert_eq!(set.matches(&event, &mut Scratch::default()), [&"netcat", &"root"]);
/// # Ok::<(), collector_core::ConditionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConditionSet<Id> {
    /// In the order of insertion; removed ones leave a hole until the next tidying.
    entries: Vec<Option<Entry<Id>>>,
    places: HashMap<Id, u32>,
    /// Per kind: those that have no key, in order.
    unkeyed: Vec<Vec<u32>>,
    /// One per field and part that some condition is looked up by.
    tables: Vec<Table>,
    /// One per field that some condition needs a text in.
    scans: Vec<Scan>,
}

#[derive(Clone, Debug)]
struct Entry<Id> {
    id: Id,
    condition: Arc<Condition>,
}

/// The conditions that need a value in a field.
#[derive(Clone, Debug)]
struct Table {
    field: Field,
    part: Part,
    /// Kinds for which it has any.
    kinds: KindSet,
    by_hash: HashMap<u64, Vec<u32>, BuildHasherDefault<AlreadyHashed>>,
}

impl<Id> Default for ConditionSet<Id> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            places: HashMap::new(),
            unkeyed: vec![Vec::new(); KINDS.len()],
            tables: Vec::new(),
            scans: Vec::new(),
        }
    }
}

impl<Id: Clone + Eq + Hash> ConditionSet<Id> {
    /// A set without conditions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition at the end of the order. Another one under this id is removed and returned.
    pub fn insert(&mut self, id: Id, condition: impl Into<Arc<Condition>>) -> Option<Arc<Condition>> {
        let before = self.remove(&id);
        self.append(Entry { id, condition: condition.into() });
        before
    }

    /// Removes a condition. Costs as much as the set is large only now and then.
    pub fn remove(&mut self, id: &Id) -> Option<Arc<Condition>> {
        let place = self.places.remove(id)?;
        let entry = self.entries.get_mut(place as usize)?.take()?;
        self.forget(place, &entry.condition);
        if self.entries.len() > 64 && self.places.len() < self.entries.len() / 2 {
            self.tidy();
        }
        Some(entry.condition)
    }

    /// The condition under this id.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Condition> {
        let place = *self.places.get(id)?;
        Some(&self.entries.get(place as usize)?.as_ref()?.condition)
    }

    /// How many conditions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The ids of the conditions that are true for the event, in the order of insertion.
    #[must_use]
    pub fn matches<'a>(&self, event: impl Into<EventView<'a>>, scratch: &mut Scratch) -> Vec<&Id> {
        let mut ids = Vec::new();
        self.for_each_match(event, scratch, |id| ids.push(id));
        ids
    }

    /// The same without a list: calls `found` with each id.
    pub fn for_each_match<'a, 's>(
        &'s self,
        event: impl Into<EventView<'a>>,
        scratch: &mut Scratch,
        mut found: impl FnMut(&'s Id),
    ) {
        let view = event.into();
        let unkeyed = self.unkeyed.get(view.kind.index()).map_or(&[][..], Vec::as_slice);
        let (mut context, candidates) = Context::new(view.event, scratch);
        self.look_up(view, &mut context, candidates);
        let mut try_at = |place: u32| {
            if let Some(Some(Entry { id, condition })) = self.entries.get(place as usize)
                && condition.holds(view.kind, &mut context)
            {
                found(id);
            }
        };
        // Both lists are sorted: merging them keeps the order.
        let mut candidates = candidates.iter().copied().peekable();
        for place in unkeyed {
            while let Some(candidate) = candidates.next_if(|candidate| candidate < place) {
                try_at(candidate);
            }
            try_at(*place);
        }
        candidates.for_each(try_at);
    }

    /// Fills in those whose key the event has, sorted.
    fn look_up(&self, view: EventView<'_>, context: &mut Context<'_, '_>, candidates: &mut Vec<u32>) {
        for Table { field, part, kinds, by_hash } in &self.tables {
            if kinds.contains(view.kind)
                && let Some(hash) = hash_of(*field, *part, context)
                && let Some(places) = by_hash.get(&hash)
            {
                candidates.extend_from_slice(places);
            }
        }
        for scan in &self.scans {
            if scan.kinds.contains(view.kind)
                && scan.may_be_in(context.value(scan.field))
                && let Some(text) = context.text(scan.field)
            {
                scan.candidates(text, candidates);
            }
        }
        candidates.sort_unstable();
        candidates.dedup();
    }

    fn append(&mut self, entry: Entry<Id>) {
        let Ok(place) = u32::try_from(self.entries.len()) else { return };
        let Entry { id, condition } = &entry;
        match keys(&condition.root) {
            Some(keys) => {
                for key in keys {
                    self.add_key(key, place, condition.kinds);
                }
            }
            None => {
                for list in lists_for(&mut self.unkeyed, condition.kinds) {
                    list.push(place);
                }
            }
        }
        self.places.insert(id.clone(), place);
        self.entries.push(Some(entry));
    }

    fn add_key(&mut self, key: Key, place: u32, kinds: KindSet) {
        match key {
            Key::Literal(field, text) => self.scan(field).add(text, place, kinds),
            Key::Value(field, part, hash) => {
                let table = self.table(field, part);
                table.kinds = table.kinds.union(kinds);
                let places = table.by_hash.entry(hash).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
    }

    fn remove_key(&mut self, key: Key, place: u32) {
        match key {
            Key::Literal(field, text) => self.scan(field).remove(&text, place),
            Key::Value(field, part, hash) => {
                let table = self.table(field, part);
                if let Some(places) = table.by_hash.get_mut(&hash) {
                    places.retain(|other| *other != place);
                    if places.is_empty() {
                        table.by_hash.remove(&hash);
                    }
                }
            }
        }
    }

    fn scan(&mut self, field: Field) -> &mut Scan {
        let found = self.scans.iter().position(|scan| scan.field == field);
        let index = found.unwrap_or_else(|| {
            self.scans.push(Scan::new(field));
            self.scans.len() - 1
        });
        &mut self.scans[index]
    }

    fn table(&mut self, field: Field, part: Part) -> &mut Table {
        let found = self.tables.iter().position(|table| (table.field, table.part) == (field, part));
        let index = found.unwrap_or_else(|| {
            self.tables.push(Table { field, part, kinds: KindSet::NONE, by_hash: HashMap::default() });
            self.tables.len() - 1
        });
        &mut self.tables[index]
    }

    fn forget(&mut self, place: u32, condition: &Condition) {
        let Some(keys) = keys(&condition.root) else {
            for list in lists_for(&mut self.unkeyed, condition.kinds) {
                if let Ok(index) = list.binary_search(&place) {
                    list.remove(index);
                }
            }
            return;
        };
        for key in keys {
            self.remove_key(key, place);
        }
        // Whoever asks for no field must not cost the reading of it.
        self.tables.retain(|table| !table.by_hash.is_empty());
        self.scans.retain(|scan| !scan.is_empty());
    }

    /// Builds everything anew without holes.
    fn tidy(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        *self = Self::default();
        for entry in entries.into_iter().flatten() {
            self.append(entry);
        }
    }
}

fn lists_for(unkeyed: &mut [Vec<u32>], kinds: KindSet) -> impl Iterator<Item = &mut Vec<u32>> {
    let wanted = crate::event::KindIndex::all().map(move |kind| kinds.contains(kind));
    unkeyed.iter_mut().zip(wanted).filter(|(_, wanted)| *wanted).map(|(list, _)| list)
}

/// Takes a number that is a hash as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
