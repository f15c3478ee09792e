//! Requests that wait for their collector: the most urgent first, and none for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::request::Key;
use crate::event::TriggerPriority;

/// A request, what makes it the same as another, and since when it waits.
#[derive(Debug)]
struct Waiting<T> {
    request: T,
    key: Key,
    since: Instant,
}

/// What waits for one collector: a lane per priority, in order of arrival.
///
/// A request rises by one priority for each `ageing` it has waited, so that a stream of urgent ones delays the others and
/// does not starve them. At most `capacity` wait; a more urgent newcomer takes the place of the youngest of the least urgent.
#[derive(Debug)]
pub(super) struct Queue<T> {
    lanes: BTreeMap<TriggerPriority, std::collections::VecDeque<Waiting<T>>>,
    len: usize,
    capacity: usize,
    ageing: Duration,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and this less urgent one had to go for it.
    Displaced(Key),
    /// There was no place for it.
    Refused,
}

impl<T> Queue<T> {
    pub(super) const fn new(capacity: usize, ageing: Duration) -> Self {
        Self { lanes: BTreeMap::new(), len: 0, capacity, ageing }
    }

    /// From now on so many may wait; those who do already go on waiting.
    pub(super) const fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// `has_room` says whether one more may wait at all, whatever the capacity.
    pub(super) fn push(
        &mut self,
        request: T,
        priority: TriggerPriority,
        key: Key,
        now: Instant,
        has_room: bool,
    ) -> Pushed {
        let mut outcome = Pushed::Queued;
        if self.len >= self.capacity || !has_room {
            let Some(displaced) = self.pop_least_urgent(priority) else { return Pushed::Refused };
            outcome = Pushed::Displaced(displaced);
        }
        self.len += 1;
        self.lanes.entry(priority).or_default().push_back(Waiting { request, key, since: now });
        outcome
    }

    /// The next in turn: of the oldest of each priority the one that ranks highest by now, and has waited longest.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        let rank = |priority: TriggerPriority, waiting: &Waiting<T>| {
            let waited = now.saturating_duration_since(waiting.since);
            let risen = waited.as_nanos() / self.ageing.as_nanos().max(1);
            (priority as u128 + risen, waited)
        };
        let oldest = self.lanes.iter().filter_map(|(&priority, lane)| Some((priority, lane.front()?)));
        let (priority, _) = oldest.max_by_key(|&(priority, waiting)| rank(priority, waiting))?;
        let waiting = self.lanes.get_mut(&priority)?.pop_front()?;
        self.len -= 1;
        Some(waiting.request)
    }

    /// Gives up what has waited longer than this, one by one.
    pub(super) fn expire(&mut self, patience: Duration, now: Instant, mut given_up: impl FnMut(Key)) {
        for lane in self.lanes.values_mut() {
            while let Some(waiting) =
                lane.pop_front_if(|waiting| now.saturating_duration_since(waiting.since) > patience)
            {
                self.len -= 1;
                given_up(waiting.key);
            }
        }
    }

    /// Takes the youngest request of the lowest priority, if that is below `than`.
    fn pop_least_urgent(&mut self, than: TriggerPriority) -> Option<Key> {
        let (_, lane) = self.lanes.range_mut(..than).find(|(_, lane)| !lane.is_empty())?;
        let waiting = lane.pop_back()?;
        self.len -= 1;
        Some(waiting.key)
    }
}

#[cfg(test)]
mod tests {
    use TriggerPriority::{Critical, High, Low, Normal};

    use super::*;

    const AGEING: Duration = Duration::from_secs(10);

    /// Pushes a request whose key is made of its id.
    fn push(
        queue: &mut Queue<&'static str>,
        id: &'static str,
        priority: TriggerPriority,
        now: Instant,
    ) -> Pushed {
        queue.push(id, priority, key(id), now, true)
    }

    fn key(id: &str) -> Key {
        Key(id.bytes().fold(0, |key, byte| key << 8 | u64::from(byte)))
    }

    fn expired(queue: &mut Queue<&'static str>, patience: Duration, now: Instant) -> Vec<Key> {
        let mut keys = Vec::new();
        queue.expire(patience, now, |key| keys.push(key));
        keys
    }

    /// The ids in the order in which they are taken, all at `now`.
    fn order(queue: &mut Queue<&'static str>, now: Instant) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop(now)).collect()
    }

    #[test]
    fn the_most_urgent_comes_first_and_equals_in_turn() {
        let now = Instant::now();
        let mut queue = Queue::new(10, AGEING);
        for (id, priority) in [("n1", Normal), ("l", Low), ("c", Critical), ("n2", Normal), ("h", High)] {
            assert_eq!(push(&mut queue, id, priority, now), Pushed::Queued);
        }
        assert_eq!(queue.len(), 5);
        assert_eq!(order(&mut queue, now), ["c", "h", "n1", "n2", "l"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn who_waits_rises() {
        let begin = Instant::now();
        let mut queue = Queue::new(10, AGEING);
        push(&mut queue, "old and low", Low, begin);
        let later = begin + 4 * AGEING;
        push(&mut queue, "new and critical", Critical, later);
        push(&mut queue, "new and high", High, later);
        assert_eq!(order(&mut queue, later), ["old and low", "new and critical", "new and high"]);
    }

    #[test]
    fn who_has_waited_too_long_is_given_up() {
        let begin = Instant::now();
        let mut queue = Queue::new(10, AGEING);
        push(&mut queue, "l", Low, begin);
        push(&mut queue, "h", High, begin + AGEING);
        assert_eq!(expired(&mut queue, AGEING, begin + AGEING), []);
        assert_eq!(expired(&mut queue, AGEING, begin + AGEING + Duration::from_nanos(1)), [key("l")]);
        assert_eq!(order(&mut queue, begin + AGEING), ["h"]);
    }

    #[test]
    fn a_full_queue_keeps_the_urgent() {
        let now = Instant::now();
        let mut queue = Queue::new(2, AGEING);
        push(&mut queue, "l1", Low, now);
        push(&mut queue, "l2", Low, now);
        assert_eq!(push(&mut queue, "l3", Low, now), Pushed::Refused);
        assert_eq!(push(&mut queue, "h", High, now), Pushed::Displaced(key("l2")));
        assert_eq!(push(&mut queue, "c", Critical, now), Pushed::Displaced(key("l1")));
        assert_eq!(push(&mut queue, "n", Normal, now), Pushed::Refused);
        assert_eq!(order(&mut queue, now), ["c", "h"]);
    }
}
