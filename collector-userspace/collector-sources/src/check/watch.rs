//! The thread that checks again and again, until the capture ends.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::guard::Guard;
use super::marks::Scope;
use crate::session::Session;

/// Longest time between two looks, which blind sensors may stay unnoticed.
const QUICK_EVERY: Duration = Duration::from_secs(10);

/// How long the end of a capture waits for a round that is being sung.
const PATIENCE: Duration = Duration::from_millis(200);

/// Ends the thread.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The capture ends.
    rung: bool,
    /// A round is being sung.
    busy: bool,
}

impl Bell {
    /// Ends the checks. Waits a moment for one that runs, so that it leaves nothing behind.
    pub(crate) fn ring(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rung = true;
        self.news.notify_all();
        let waited = self.news.wait_timeout_while(state, PATIENCE, |state| state.busy);
        drop(waited);
    }

    /// Ends the checks, and waits for nothing.
    pub(crate) fn end_all(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rung = true;
        self.news.notify_all();
    }

    /// Waits; true when it is time for a round, which then has begun.
    fn begin(&self, patience: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.news.wait_timeout_while(state, patience, |state| !state.rung);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.busy = !state.rung;
        state.busy
    }

    fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).busy = false;
        self.news.notify_all();
    }
}

/// Starts the thread: quick rounds at least every ten seconds, and every `interval` one that tries everything.
///
/// # Errors
/// When there can be no more threads.
pub(crate) fn watch(session: &Arc<Session>, mut guard: Guard, interval: Duration) -> std::io::Result<()> {
    let bell = Arc::clone(session.bell());
    // The session ends without it.
    let session: Weak<Session> = Arc::downgrade(session);
    let quick = QUICK_EVERY.min(interval);
    let run = move || {
        let mut whole = Instant::now();
        while bell.begin(quick) {
            if let Some(session) = session.upgrade() {
                let scope = if whole.elapsed() >= interval { Scope::Everything } else { Scope::Quick };
                if scope == Scope::Everything {
                    whole = Instant::now();
                }
                guard.check(&session, scope);
            }
            bell.end();
        }
    };
    std::thread::Builder::new().name("self-check".to_owned()).spawn(run).map(drop)
}
