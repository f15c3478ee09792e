//! What keeps triggers from becoming a flood: the same one not twice in a while, and not more a second than agreed.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Remembers keys for a while, at most so many.
///
/// Entries leave in order of their arrival, so both looking and forgetting cost the same however many there are.
#[derive(Debug)]
pub(super) struct Recent<K> {
    window: Duration,
    capacity: usize,
    seen: HashMap<K, Instant>,
    order: VecDeque<(K, Instant)>,
}

impl<K: Hash + Eq + Clone> Recent<K> {
    pub(super) fn new(window: Duration, capacity: usize) -> Self {
        Self { window, capacity: capacity.max(1), seen: HashMap::new(), order: VecDeque::new() }
    }

    /// Whether the key is new in this window; it is remembered then.
    pub(super) fn is_new(&mut self, key: &K, now: Instant) -> bool {
        self.forget(now);
        if self.seen.contains_key(key) {
            return false;
        }
        if self.seen.len() >= self.capacity
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.seen.insert(key.clone(), now);
        self.order.push_back((key.clone(), now));
        true
    }

    /// Forgets a key before its time: what it stood for did not come about.
    pub(super) fn undo(&mut self, key: &K) {
        if self.seen.remove(key).is_some() {
            self.order.retain(|(other, _)| other != key);
        }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((key, since)) = self.order.front()
            && now.saturating_duration_since(*since) >= self.window
        {
            self.seen.remove(key);
            self.order.pop_front();
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

    #[test]
    fn a_key_is_new_once_in_a_window() {
        let begin = Instant::now();
        let mut recent = Recent::new(WINDOW, 10);
        assert!(recent.is_new(&1, begin));
        assert!(!recent.is_new(&1, begin + WINDOW / 2), "and the window does not begin anew");
        assert!(recent.is_new(&2, begin + WINDOW / 2));
        assert!(recent.is_new(&1, begin + WINDOW));
        assert!(!recent.is_new(&2, begin + WINDOW));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let now = Instant::now();
        let mut recent = Recent::new(WINDOW, 2);
        for key in 1..=3 {
            assert!(recent.is_new(&key, now));
        }
        assert_eq!((recent.seen.len(), recent.order.len()), (2, 2));
        assert!(!recent.is_new(&3, now) && !recent.is_new(&2, now));
        assert!(recent.is_new(&1, now));
    }

    #[test]
    fn what_did_not_come_about_may_come_again() {
        let now = Instant::now();
        let mut recent = Recent::new(WINDOW, 10);
        assert!(recent.is_new(&1, now));
        recent.undo(&1);
        assert!(recent.is_new(&1, now));
        assert_eq!(recent.order.len(), 1);
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
