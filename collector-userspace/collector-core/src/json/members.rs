//! Writing the members of one JSON object, absent ones left out.

use std::fmt;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::event::Text;

/// The members of an object being written.
pub(super) struct Members<M> {
    object: M,
    /// Whether the texts of this object are written in their escaped form.
    escaped: bool,
}

impl<M: SerializeStruct> Members<M> {
    /// An object without kernel bytes in it.
    pub(super) fn begin<S: Serializer<SerializeStruct = M, Error = M::Error>>(
        serializer: S,
    ) -> Result<Self, M::Error> {
        // Nobody counts the members beforehand. JSON does not need the number, except that 0 would be taken at its word.
        Ok(Self { object: serializer.serialize_struct("object", 1)?, escaped: false })
    }

    /// An object with kernel bytes in it: says so first if one of `texts` needs escaping.
    pub(super) fn with_texts<'t, S: Serializer<SerializeStruct = M, Error = M::Error>>(
        serializer: S,
        texts: impl IntoIterator<Item = &'t Text>,
    ) -> Result<Self, M::Error> {
        let mut members = Self::begin(serializer)?;
        members.escaped = texts.into_iter().any(|text| text.as_str().is_none());
        if members.escaped {
            members.put("encoding", "escaped")?;
        }
        Ok(members)
    }

    /// A member that is always there.
    pub(super) fn put<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), M::Error> {
        self.object.serialize_field(key, value)
    }

    /// A member that may be absent.
    pub(super) fn some<T: Serialize>(&mut self, key: &'static str, value: Option<T>) -> Result<(), M::Error> {
        match value {
            Some(value) => self.put(key, &value),
            None => Ok(()),
        }
    }

    /// A string, absent when empty.
    pub(super) fn word(&mut self, key: &'static str, value: &str) -> Result<(), M::Error> {
        if value.is_empty() { Ok(()) } else { self.put(key, value) }
    }

    /// Strings, absent when there are none.
    pub(super) fn words(&mut self, key: &'static str, values: &[&str]) -> Result<(), M::Error> {
        if values.is_empty() { Ok(()) } else { self.put(key, values) }
    }

    /// Kernel bytes.
    pub(super) fn text(&mut self, key: &'static str, text: &Text) -> Result<(), M::Error> {
        let escaped = self.escaped;
        self.put(key, &TextJson { text, escaped })
    }

    /// Kernel bytes that may be absent.
    pub(super) fn some_text(&mut self, key: &'static str, text: Option<&Text>) -> Result<(), M::Error> {
        match text {
            Some(text) => self.text(key, text),
            None => Ok(()),
        }
    }

    /// A text that is already a string but belongs to the escaped members of its object.
    pub(super) fn name(&mut self, key: &'static str, name: &str) -> Result<(), M::Error> {
        if self.escaped { self.put(key, &name.replace('\\', "\\\\")) } else { self.word(key, name) }
    }

    /// An array of kernel bytes, also when empty.
    pub(super) fn texts(&mut self, key: &'static str, texts: &[Text]) -> Result<(), M::Error> {
        let escaped = self.escaped;
        self.put(key, &Each(texts, |text| TextJson { text, escaped }))
    }

    /// The end of the object.
    pub(super) fn end(self) -> Result<M::Ok, M::Error> {
        self.object.end()
    }
}

/// One text, escaped if its object is.
struct TextJson<'a> {
    text: &'a Text,
    escaped: bool,
}

impl Serialize for TextJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text.as_str() {
            Some(text) if !self.escaped => serializer.serialize_str(text),
            _ => serializer.collect_str(&self.text.escape()),
        }
    }
}

/// An array whose elements are written through a view.
pub(super) struct Each<'a, T, F>(pub(super) &'a [T], pub(super) F);

impl<'a, T, V: Serialize, F: Fn(&'a T) -> V> Serialize for Each<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// Something written as the string it displays as.
pub(super) struct Shown<T>(pub(super) T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A value of a shape of its own, such as a map. For serde_json this is the value itself; [`super::compact`] hands it over
/// to serde_json.
#[derive(Serialize)]
pub(super) struct Foreign<T>(pub(super) T);

/// A length of time in whole nanoseconds; 584 years at most.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
