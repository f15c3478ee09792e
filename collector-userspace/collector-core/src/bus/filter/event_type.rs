//! Naming types of events by their constructors.

use std::borrow::Cow;

use crate::event::{
    AlertEvent, CollectionEvent, FilesystemEvent, LossEvent, NetworkEvent, PerformanceEvent, ProcessEvent,
    TriggerRequest,
};

/// What [`EventFilter::with_event_type`](crate::EventFilter::with_event_type) takes: a variant of [`CollectionEvent`] written as its constructor, or a name.
///
/// `Marker` only tells the implementations apart; it is always inferred.
pub trait EventType<Marker>: sealed::Sealed<Marker> {
    /// The name of the domain or kind.
    fn into_name(self) -> Cow<'static, str>;
}

mod sealed {
    pub trait Sealed<Marker> {}
}

/// Tells names apart from constructors.
#[derive(Debug)]
pub struct ByName;

macro_rules! constructors {
    ($($payload:ident => $name:literal),+ $(,)?) => {$(
        impl<F: Fn($payload) -> CollectionEvent> sealed::Sealed<$payload> for F {}

        impl<F: Fn($payload) -> CollectionEvent> EventType<$payload> for F {
            fn into_name(self) -> Cow<'static, str> {
                Cow::Borrowed($name)
            }
        }
    )+};
}

constructors! {
    ProcessEvent => "process",
    NetworkEvent => "network",
    FilesystemEvent => "filesystem",
    PerformanceEvent => "performance",
    TriggerRequest => "trigger_request",
    AlertEvent => "alert",
    LossEvent => "loss",
}

impl sealed::Sealed<ByName> for &str {}

impl EventType<ByName> for &str {
    fn into_name(self) -> Cow<'static, str> {
        Cow::Owned(self.to_owned())
    }
}

impl sealed::Sealed<ByName> for String {}

impl EventType<ByName> for String {
    fn into_name(self) -> Cow<'static, str> {
        Cow::Owned(self)
    }
}
