//! Lines that are made once and shared by everybody who writes them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::{HostInfo, SCHEMA, write_line};
use crate::bus::BusEvent;
use crate::event::CollectionEvent;

/// Makes the JSON lines of one host. Clones make the same lines, and an event on a bus is rendered once for all of them.
///
/// ```
/// use collector_core::{CollectionEvent, EventBusConfig, EventFilter, HostInfo, JsonLines, LocalEventBus, ProcessEvent};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// # let bus = LocalEventBus::new(EventBusConfig::default()).await?;
/// # bus.start().await?;
/// # let mut subscription = bus.subscribe(EventFilter::new()).await?;
/// # bus.publish(CollectionEvent::Process(ProcessEvent { pid: 7, ..Default::default() })).await?;
/// let lines = JsonLines::new(HostInfo { host: "web-1".to_owned(), boot_id: String::new() });
/// if let Some(event) = subscription.recv().await {
///     assert!(lines.of(&event).starts_with(r#"{"schema":"1.0.0","time":"1970-01-01T00:00:00.000000000Z","kind":"process.snapshot","host":"web-1""#));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct JsonLines {
    host: Arc<HostInfo>,
    id: u64,
}

impl JsonLines {
    /// Lines that name `host`.
    #[must_use]
    pub fn new(host: HostInfo) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { host: Arc::new(host), id: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// The host that the lines name.
    #[must_use]
    pub fn host(&self) -> &HostInfo {
        &self.host
    }

    /// The line of an event on a bus, newline included. The event keeps the first one it was asked for; another host's is
    /// made anew each time.
    ///
    /// An event that cannot be written, which takes `platform_metadata` that JSON cannot hold, gives a line with its `kind`
    /// and an `error`: better than a silent hole.
    #[must_use]
    pub fn of<'e>(&self, event: &'e BusEvent) -> Cow<'e, str> {
        let (id, line) = event.line.0.get_or_init(|| (self.id, self.render(&event.event).into()));
        if *id == self.id { Cow::Borrowed(line) } else { Cow::Owned(self.render(&event.event)) }
    }

    /// The line of an event on no bus, see [`of`](Self::of).
    #[must_use]
    pub fn render(&self, event: &CollectionEvent) -> String {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        // Built in a buffer that has its size already and copied once to what fits.
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            let written = write_line(buffer, event, &self.host).map_err(|error| error.to_string());
            match written.and_then(|()| std::str::from_utf8(buffer).map_err(|error| error.to_string())) {
                Ok(line) => line.to_owned(),
                Err(error) => {
                    format!(
                        "{}\n",
                        serde_json::json!({ "schema": SCHEMA, "kind": event.kind(), "error": error })
                    )
                }
            }
        })
    }
}

/// The line an event keeps, and which [`JsonLines`] made it. No part of the event: all are equal, and a copy of the event,
/// which its owner may change, begins without one.
#[derive(Debug, Default)]
pub(crate) struct KeptLine(OnceLock<(u64, Box<str>)>);

impl Clone for KeptLine {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for KeptLine {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ProcessEvent;

    fn lines(host: &str) -> JsonLines {
        JsonLines::new(HostInfo { host: host.to_owned(), boot_id: String::new() })
    }

    fn event(platform_metadata: Option<serde_json::Value>) -> BusEvent {
        BusEvent::new(
            1,
            CollectionEvent::Process(ProcessEvent { pid: 5, platform_metadata, ..Default::default() }),
        )
    }

    #[test]
    fn an_event_keeps_the_line_of_the_first_host_and_gives_others_theirs() {
        let (event, one, two) = (event(None), lines("one"), lines("two"));
        let first = one.of(&event);
        assert!(first.contains(r#""host":"one""#) && first.ends_with("}\n"), "{first}");
        assert!(matches!(one.clone().of(&event), Cow::Borrowed(again) if std::ptr::eq(again, &*first)));
        assert!(two.of(&event).contains(r#""host":"two""#));
        assert_eq!(first, one.render(&event.event));
    }

    #[test]
    fn a_changed_copy_has_a_line_of_its_own() {
        let lines = lines("one");
        let original = event(None);
        let _ = lines.of(&original);
        let mut copy = original.clone();
        copy.event = CollectionEvent::Process(ProcessEvent { pid: 6, ..Default::default() });
        assert!(lines.of(&copy).contains(r#""pid":6"#));
    }

    #[test]
    fn a_kept_line_does_not_tell_events_apart() {
        let (read, unread) = (event(None), event(None));
        let _ = lines("one").of(&read);
        assert_eq!(read, unread);
    }
}
