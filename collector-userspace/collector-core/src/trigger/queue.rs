//! Requests that wait for their collector: the most urgent first, and none for ever.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::event::{TriggerPriority, TriggerRequest};

/// A request and since when it waits.
#[derive(Debug)]
struct Waiting {
    request: TriggerRequest,
    since: Instant,
}

/// What waits for one collector: a lane per priority, in order of arrival.
///
/// A request rises by one priority for each `ageing` it has waited, so that a stream of urgent ones delays the others and
/// does not starve them. At most `capacity` wait; a more urgent newcomer takes the place of the youngest of the least urgent.
#[derive(Debug)]
pub(super) struct Queue {
    lanes: BTreeMap<TriggerPriority, std::collections::VecDeque<Waiting>>,
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
    Displaced(Box<TriggerRequest>),
    /// There was no place for it.
    Refused,
}

impl Queue {
    pub(super) const fn new(capacity: usize, ageing: Duration) -> Self {
        Self { lanes: BTreeMap::new(), len: 0, capacity, ageing }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, request: TriggerRequest, now: Instant) -> Pushed {
        let mut outcome = Pushed::Queued;
        if self.len >= self.capacity {
            let Some(displaced) = self.pop_least_urgent(request.priority) else { return Pushed::Refused };
            outcome = Pushed::Displaced(Box::new(displaced));
        }
        self.len += 1;
        self.lanes.entry(request.priority).or_default().push_back(Waiting { request, since: now });
        outcome
    }

    /// The next in turn: of the oldest of each priority the one that ranks highest by now, and has waited longest.
    pub(super) fn pop(&mut self, now: Instant) -> Option<TriggerRequest> {
        let rank = |priority: TriggerPriority, waiting: &Waiting| {
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

    /// Gives up what has waited longer than this; says how many.
    pub(super) fn expire(&mut self, patience: Duration, now: Instant) -> usize {
        let before = self.len;
        for lane in self.lanes.values_mut() {
            while lane.front().is_some_and(|waiting| now.saturating_duration_since(waiting.since) > patience)
            {
                lane.pop_front();
                self.len -= 1;
            }
        }
        before - self.len
    }

    /// Takes the youngest request of the lowest priority, if that is below `than`.
    fn pop_least_urgent(&mut self, than: TriggerPriority) -> Option<TriggerRequest> {
        let (_, lane) = self.lanes.range_mut(..than).find(|(_, lane)| !lane.is_empty())?;
        let waiting = lane.pop_back()?;
        self.len -= 1;
        Some(waiting.request)
    }
}

#[cfg(test)]
mod tests {

    use TriggerPriority::{Critical, High, Low, Normal};

    use super::*;

    const AGEING: Duration = Duration::from_secs(10);

    fn request(id: &str, priority: TriggerPriority) -> TriggerRequest {
        TriggerRequest { trigger_id: id.to_owned(), priority, ..TriggerRequest::default() }
    }

    /// The ids in the order in which they are taken, all at `now`.
    fn order(queue: &mut Queue, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| queue.pop(now)).map(|request| request.trigger_id).collect()
    }

    #[test]
    fn the_most_urgent_comes_first_and_equals_in_turn() {
        let now = Instant::now();
        let mut queue = Queue::new(10, AGEING);
        for (id, priority) in [("n1", Normal), ("l", Low), ("c", Critical), ("n2", Normal), ("h", High)] {
            assert_eq!(queue.push(request(id, priority), now), Pushed::Queued);
        }
        assert_eq!(queue.len(), 5);
        assert_eq!(order(&mut queue, now), ["c", "h", "n1", "n2", "l"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn who_waits_rises() {
        let begin = Instant::now();
        let mut queue = Queue::new(10, AGEING);
        queue.push(request("old and low", Low), begin);
        let later = begin + 4 * AGEING;
        queue.push(request("new and critical", Critical), later);
        queue.push(request("new and high", High), later);
        assert_eq!(order(&mut queue, later), ["old and low", "new and critical", "new and high"]);
    }

    #[test]
    fn who_has_waited_too_long_is_given_up() {
        let begin = Instant::now();
        let mut queue = Queue::new(10, AGEING);
        queue.push(request("l", Low), begin);
        queue.push(request("h", High), begin + AGEING);
        assert_eq!(queue.expire(AGEING, begin + AGEING), 0);
        assert_eq!(queue.expire(AGEING, begin + AGEING + Duration::from_nanos(1)), 1);
        assert_eq!(order(&mut queue, begin + AGEING), ["h"]);
    }

    #[test]
    fn a_full_queue_keeps_the_urgent() {
        let now = Instant::now();
        let mut queue = Queue::new(2, AGEING);
        queue.push(request("l1", Low), now);
        queue.push(request("l2", Low), now);
        assert_eq!(queue.push(request("l3", Low), now), Pushed::Refused);
        assert_eq!(queue.push(request("h", High), now), Pushed::Displaced(Box::new(request("l2", Low))));
        assert_eq!(queue.push(request("c", Critical), now), Pushed::Displaced(Box::new(request("l1", Low))));
        assert_eq!(queue.push(request("n", Normal), now), Pushed::Refused);
        assert_eq!(order(&mut queue, now), ["c", "h"]);
    }
}
