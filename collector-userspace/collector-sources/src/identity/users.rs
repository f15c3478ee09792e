//! Names of users.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

/// Most names kept.
const LIMIT: usize = 4096;

/// How long a name, or the absence of one, is believed.
const TTL: Duration = Duration::from_secs(300);

/// Names of users by id.
///
/// Live, they come from the system's user database, which may ask a network; hence the cache, and hence no lock of
/// another may be held over [`Users::name`]. In replay they come from the capture alone.
#[derive(Debug)]
pub struct Users {
    /// `None` in replay.
    ttl: Option<Duration>,
    names: FxHashMap<u32, Known>,
    order: VecDeque<u32>,
}

#[derive(Debug)]
struct Known {
    name: Option<Arc<str>>,
    at: Option<Instant>,
}

impl Users {
    /// Names from this system.
    #[must_use]
    pub fn system() -> Self {
        Self { ttl: Some(TTL), names: FxHashMap::default(), order: VecDeque::new() }
    }

    /// Names that are [set](Self::set), and no others.
    #[must_use]
    pub fn recorded() -> Self {
        Self { ttl: None, names: FxHashMap::default(), order: VecDeque::new() }
    }

    /// The name of a user, if it has one.
    pub fn name(&mut self, uid: u32) -> Option<Arc<str>> {
        let Some(ttl) = self.ttl else {
            return self.names.get(&uid).and_then(|known| known.name.clone());
        };
        self.look_up(uid, ttl, Instant::now(), |uid| {
            uzers::get_user_by_uid(uid).map(|user| Arc::from(user.name().to_string_lossy()))
        })
    }

    /// States the name of a user.
    pub fn set(&mut self, uid: u32, name: Option<Arc<str>>) {
        self.remember(uid, Known { name, at: None });
    }

    fn look_up(
        &mut self,
        uid: u32,
        ttl: Duration,
        now: Instant,
        ask: impl FnOnce(u32) -> Option<Arc<str>>,
    ) -> Option<Arc<str>> {
        if let Some(known) = self.names.get(&uid)
            && known.at.is_none_or(|at| now.saturating_duration_since(at) < ttl)
        {
            return known.name.clone();
        }
        let name = ask(uid);
        self.remember(uid, Known { name: name.clone(), at: Some(now) });
        name
    }

    fn remember(&mut self, uid: u32, known: Known) {
        if self.names.insert(uid, known).is_some() {
            return;
        }
        self.order.push_back(uid);
        if self.order.len() > LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_absence_are_asked_once_until_they_are_old() {
        let mut users = Users::system();
        let start = Instant::now();
        let mut asked = 0;
        let mut name = |uid: u32, after: Duration| {
            users.look_up(uid, TTL, start + after, |uid| {
                asked += 1;
                (uid == 0).then(|| Arc::from("root"))
            })
        };
        for _ in 0..3 {
            assert_eq!(name(0, Duration::ZERO).as_deref(), Some("root"));
            assert_eq!(name(5, Duration::ZERO), None);
        }
        assert_eq!(name(0, TTL).as_deref(), Some("root"));
        assert_eq!(asked, 3);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut users = Users::system();
        for uid in 0..(2 * LIMIT as u32) {
            users.look_up(uid, TTL, Instant::now(), |_| None);
        }
        assert_eq!((users.names.len(), users.order.len()), (LIMIT, LIMIT));
    }

    #[test]
    fn recorded_names_never_come_from_this_machine() {
        let mut users = Users::recorded();
        assert_eq!(users.name(0), None);
        users.set(0, Some(Arc::from("toor")));
        assert_eq!(users.name(0).as_deref(), Some("toor"));
        users.set(0, None);
        assert_eq!(users.name(0), None);
    }

    #[test]
    fn the_system_knows_root() {
        assert_eq!(Users::system().name(0).as_deref(), Some("root"));
    }
}
