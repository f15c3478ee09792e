//! What an event says of the process that acted, whatever kind of event it is.

use crate::event::{CollectionEvent, ProcessEvent, ProcessRef, Text};

/// The acting process of an event, borrowed from it.
#[derive(Clone, Copy)]
pub(super) struct Actor<'a> {
    pub(super) name: &'a [u8],
    pub(super) executable: Option<&'a [u8]>,
    pub(super) uid: Option<u32>,
    pub(super) container_id: Option<&'a str>,
}

impl<'a> Actor<'a> {
    /// `None` for events that are not about a process, or whose source does not know it.
    pub(super) fn of(event: &'a CollectionEvent) -> Option<Self> {
        match event {
            CollectionEvent::Process(event) => Some(Self::of_process(event)),
            CollectionEvent::Network(event) => event.process.as_deref().map(Self::of_reference),
            CollectionEvent::Filesystem(event) => event.process.as_deref().map(Self::of_reference),
            CollectionEvent::TriggerRequest(event) => event.process.as_deref().map(Self::of_reference),
            CollectionEvent::Alert(event) => event.process.as_deref().map(Self::of_reference),
            CollectionEvent::Performance(event) => event.process.as_deref().map(Self::of_reference),
            CollectionEvent::Loss(_) => None,
        }
    }

    fn of_process(event: &'a ProcessEvent) -> Self {
        Self {
            name: event.name.as_bytes(),
            executable: event.executable_path.as_ref().map(Text::as_bytes),
            uid: event.uid,
            container_id: event.container_id.as_deref(),
        }
    }

    fn of_reference(process: &'a ProcessRef) -> Self {
        Self {
            name: process.name.as_bytes(),
            executable: process.executable.as_ref().map(Text::as_bytes),
            uid: process.uid,
            container_id: process.container_id.as_deref(),
        }
    }
}
