//! What a panic of somebody else's code said.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Longest message that is kept, in characters: it stays in reports and counters.
const MOST_CHARACTERS: usize = 1000;

/// What a caught panic said. The payload is dropped here, and a panic of that drop ends here as well.
pub(crate) fn message_of(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("no message").chars().take(MOST_CHARACTERS).collect();
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Whoever does it twice would do it for ever.
        std::mem::forget(another);
    }
    message
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A payload whose drop panics.
    pub(crate) struct Nasty;

    impl Drop for Nasty {
        #[allow(clippy::panic, reason = "that is what it is for")]
        fn drop(&mut self) {
            panic!("nasty");
        }
    }

    #[test]
    fn messages_are_found_cut_and_their_payload_dropped() {
        assert_eq!(message_of(Box::new("text")), "text");
        assert_eq!(message_of(Box::new("ü".repeat(2000))).chars().count(), MOST_CHARACTERS);
        assert_eq!(message_of(Box::new(7)), "no message");
        assert_eq!(message_of(Box::new(Nasty)), "no message");
    }
}
