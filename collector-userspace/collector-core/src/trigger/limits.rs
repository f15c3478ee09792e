//! What keeps triggers from becoming a flood: the same one not twice in a while, and not more a second than agreed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::time::Duration;

use tokio::time::Instant;

use super::request::Key;
use crate::condition::AlreadyHashed;

/// Remembers keys for a while, at most so many.
///
/// Entries leave in order of their arrival, so both looking and forgetting cost the same however many there are.
#[derive(Debug)]
pub(super) struct Recent {
    window: Duration,
    capacity: usize,
    /// Keys with the number of their arrival.
    seen: HashMap<Key, u64, BuildHasherDefault<AlreadyHashed>>,
    /// In order of arrival. A key that is not seen any more, or has arrived again, is passed over.
    order: VecDeque<(Key, u64, Instant)>,
    arrivals: u64,
}

impl Recent {
    pub(super) fn new(window: Duration, capacity: usize) -> Self {
        let (seen, order) = (HashMap::default(), VecDeque::new());
        Self { window, capacity: capacity.max(1), seen, order, arrivals: 0 }
    }

    /// Whether the key has been remembered in this window.
    pub(super) fn knows(&mut self, key: Key, now: Instant) -> bool {
        while let Some((_, _, since)) = self.order.front()
            && now.saturating_duration_since(*since) >= self.window
        {
            self.forget_oldest();
        }
        self.seen.contains_key(&key)
    }

    /// Remembers a key from now on; the oldest may have to go for it.
    pub(super) fn remember(&mut self, key: Key, now: Instant) {
        while self.seen.len() >= self.capacity {
            self.forget_oldest();
        }
        self.arrivals += 1;
        self.seen.insert(key, self.arrivals);
        self.order.push_back((key, self.arrivals, now));
    }

    /// Forgets a key before its time: what it stood for did not come about.
    pub(super) fn undo(&mut self, key: Key) {
        if self.seen.remove(&key).is_some() && self.order.len() > self.capacity.saturating_mul(2) {
            let Self { seen, order, .. } = self;
            order.retain(|(key, arrival, _)| seen.get(key) == Some(arrival));
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((key, arrival, _)) = self.order.pop_front()
            && let Entry::Occupied(seen) = self.seen.entry(key)
            && *seen.get() == arrival
        {
            seen.remove();
        }
    }
}

/// So many a second on average, and as many at once.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    tokens: f64,
    since: Instant,
}

impl Rate {
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, tokens: per_second, since: now }
    }

    /// Whether one more is within the rate; it is counted then.
    pub(super) fn allows(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.since).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.per_second);
        self.since = now;
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    /// Remembers a key, if it is new.
    fn is_new(recent: &mut Recent, key: u64, now: Instant) -> bool {
        let key = Key(key);
        let new = !recent.knows(key, now);
        if new {
            recent.remember(key, now);
        }
        new
    }

    #[test]
    fn a_key_is_new_once_in_a_window() {
        let begin = Instant::now();
        let mut recent = Recent::new(WINDOW, 10);
        assert!(is_new(&mut recent, 1, begin));
        assert!(!is_new(&mut recent, 1, begin + WINDOW - Duration::from_nanos(1)));
        assert!(is_new(&mut recent, 2, begin + WINDOW / 2));
        assert!(is_new(&mut recent, 1, begin + WINDOW));
        assert!(!is_new(&mut recent, 2, begin + WINDOW));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let now = Instant::now();
        let mut recent = Recent::new(WINDOW, 2);
        for key in 1..=3 {
            assert!(is_new(&mut recent, key, now));
        }
        assert_eq!((recent.seen.len(), recent.order.len()), (2, 2));
        assert!(!is_new(&mut recent, 3, now) && !is_new(&mut recent, 2, now));
        assert!(is_new(&mut recent, 1, now));
    }

    #[test]
    fn what_did_not_come_about_may_come_again() {
        let begin = Instant::now();
        let mut recent = Recent::new(WINDOW, 10);
        assert!(is_new(&mut recent, 1, begin));
        recent.undo(Key(1));
        assert!(is_new(&mut recent, 1, begin + WINDOW / 2));
        // The window begins with the second time.
        assert!(!is_new(&mut recent, 1, begin + WINDOW));
        for _ in 0..1000 {
            recent.undo(Key(1));
            assert!(is_new(&mut recent, 1, begin + WINDOW));
            assert!(recent.order.len() <= 21, "{}", recent.order.len());
        }
    }

    #[test]
    fn a_capacity_without_end_is_one() {
        let now = Instant::now();
        let mut recent = Recent::new(Duration::MAX, usize::MAX);
        assert!(is_new(&mut recent, 1, now));
        recent.undo(Key(1));
        assert!(is_new(&mut recent, 1, now));
    }

    #[test]
    fn a_rate_allows_a_burst_and_then_its_measure() {
        let begin = Instant::now();
        let mut rate = Rate::new(10, begin);
        let allowed = |rate: &mut Rate, at| (0..100).filter(|_| rate.allows(at)).count();
        assert_eq!(allowed(&mut rate, begin), 10);
        assert_eq!(allowed(&mut rate, begin + Duration::from_millis(500)), 5);
        assert_eq!(
            allowed(&mut rate, begin + Duration::from_secs(3600)),
            10,
            "no more than a second's worth"
        );
        assert_eq!(allowed(&mut Rate::new(0, begin), begin + WINDOW), 0);
    }
}
