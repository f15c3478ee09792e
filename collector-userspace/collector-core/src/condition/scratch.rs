//! Memory that evaluation reuses, and texts that are made only when a condition asks for them.

use super::field::Field;
use super::value::Value;
use crate::event::{CollectionEvent, KindIndex, Text};
use crate::json::ShortText;

/// An event as conditions look at it: made from a [`CollectionEvent`] or a [`BusEvent`](crate::BusEvent) by `into()`.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    pub(super) event: &'a CollectionEvent,
    pub(super) kind: KindIndex,
}

impl<'a> From<&'a CollectionEvent> for EventView<'a> {
    fn from(event: &'a CollectionEvent) -> Self {
        Self { event, kind: KindIndex::of(event) }
    }
}

impl<'a> From<&'a crate::BusEvent> for EventView<'a> {
    fn from(event: &'a crate::BusEvent) -> Self {
        Self { event: &event.event, kind: event.kind }
    }
}

/// Buffers for evaluating conditions. Keep one per thread and give it to every call: once the buffers have grown to the
/// longest command line, evaluation does not allocate.
#[derive(Debug, Default)]
pub struct Scratch {
    made: Made,
    folded: Vec<u8>,
    pub(super) candidates: Vec<u32>,
}

/// Texts of the event at hand that no field holds as bytes.
#[derive(Debug, Default)]
struct Made {
    command_line: Option<Vec<u8>>,
    spare: Vec<u8>,
    exec_id: Option<ShortText>,
    parent_exec_id: Option<ShortText>,
    local: Option<ShortText>,
    remote: Option<ShortText>,
}

impl Made {
    fn forget(&mut self) {
        let Self { command_line, spare, exec_id, parent_exec_id, local, remote } = self;
        if let Some(buffer) = command_line.take() {
            *spare = buffer;
        }
        for text in [exec_id, parent_exec_id, local, remote] {
            *text = None;
        }
    }

    // The other fields never hold an id or an address, see `Value::of`.
    fn short(&self, field: Field) -> Option<&ShortText> {
        match field {
            Field::ExecId => self.exec_id.as_ref(),
            Field::ParentExecId => self.parent_exec_id.as_ref(),
            Field::LocalAddress => self.local.as_ref(),
            Field::RemoteAddress => self.remote.as_ref(),
            _ => None,
        }
    }

    fn short_mut(&mut self, field: Field) -> Option<&mut Option<ShortText>> {
        match field {
            Field::ExecId => Some(&mut self.exec_id),
            Field::ParentExecId => Some(&mut self.parent_exec_id),
            Field::LocalAddress => Some(&mut self.local),
            Field::RemoteAddress => Some(&mut self.remote),
            _ => None,
        }
    }
}

/// One event under evaluation.
#[derive(Debug)]
pub(super) struct Context<'a, 's> {
    pub(super) event: &'a CollectionEvent,
    made: &'s mut Made,
    folded: &'s mut Vec<u8>,
}

impl<'a, 's> Context<'a, 's> {
    /// Begins with another event: what was made for the last one is forgotten. The list is for the caller's use.
    pub(super) fn new(event: &'a CollectionEvent, scratch: &'s mut Scratch) -> (Self, &'s mut Vec<u32>) {
        let Scratch { made, folded, candidates } = scratch;
        made.forget();
        candidates.clear();
        (Self { event, made, folded }, candidates)
    }

    pub(super) fn value(&self, field: Field) -> Value<'a> {
        Value::of(self.event, field)
    }

    /// The field as text, made if need be. `None` for NULL and for what is no text.
    pub(super) fn text(&mut self, field: Field) -> Option<&[u8]> {
        let value = self.prepare(field);
        self.prepared(field, value)
    }

    /// Two fields as texts.
    pub(super) fn texts(&mut self, one: Field, other: Field) -> Option<(&[u8], &[u8])> {
        let values = (self.prepare(one), self.prepare(other));
        Some((self.prepared(one, values.0)?, self.prepared(other, values.1)?))
    }

    /// The field as text with every byte changed, and whether there is one.
    pub(super) fn changed_text(&mut self, field: Field, change: fn(&u8) -> u8) -> Option<&[u8]> {
        let mut folded = std::mem::take(self.folded);
        folded.clear();
        let present = self.text(field).map(|text| folded.extend(text.iter().map(change))).is_some();
        *self.folded = folded;
        present.then_some(&**self.folded)
    }

    /// A buffer for one changed text.
    pub(super) fn folded(&mut self) -> &mut Vec<u8> {
        self.folded
    }

    fn prepare(&mut self, field: Field) -> Value<'a> {
        let value = self.value(field);
        match value {
            Value::Joined(arguments) => {
                if self.made.command_line.is_none() {
                    let mut buffer = std::mem::take(&mut self.made.spare);
                    join(&mut buffer, arguments);
                    self.made.command_line = Some(buffer);
                }
            }
            Value::ExecId(id) => self.keep(field, || ShortText::exec_id(id)),
            Value::Ip(address) => self.keep(field, || ShortText::address(address)),
            Value::Null
            | Value::Text(_)
            | Value::Integer(_)
            | Value::Number(_)
            | Value::Bool(_)
            | Value::List(_) => {}
        }
        value
    }

    fn keep(&mut self, field: Field, make: impl FnOnce() -> ShortText) {
        if let Some(place) = self.made.short_mut(field) {
            place.get_or_insert_with(make);
        }
    }

    fn prepared<'t>(&'t self, field: Field, value: Value<'t>) -> Option<&'t [u8]> {
        match value {
            Value::Text(text) => Some(text),
            Value::Joined(_) => self.made.command_line.as_deref(),
            Value::ExecId(_) | Value::Ip(_) => self.made.short(field).map(ShortText::as_bytes),
            Value::Null | Value::Integer(_) | Value::Number(_) | Value::Bool(_) | Value::List(_) => None,
        }
    }
}

/// The arguments with one space between them; what is not UTF-8 is replaced.
fn join(buffer: &mut Vec<u8>, arguments: &[Text]) {
    buffer.clear();
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            buffer.push(b' ');
        }
        if argument.as_str().is_some() {
            buffer.extend_from_slice(argument.as_bytes());
            continue;
        }
        for chunk in argument.as_bytes().utf8_chunks() {
            buffer.extend_from_slice(chunk.valid().as_bytes());
            if !chunk.invalid().is_empty() {
                buffer.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ProcessEvent;

    fn event(arguments: &[&[u8]]) -> CollectionEvent {
        let command_line = arguments.iter().map(|argument| Text::from(*argument)).collect();
        CollectionEvent::Process(ProcessEvent { command_line, ..ProcessEvent::default() })
    }

    #[test]
    fn command_lines_are_joined_once_and_forgotten_with_the_event() {
        let mut scratch = Scratch::default();
        let (first, second) = (event(&[b"a", b"b\xffc", b""]), event(&[b"x"]));
        let (mut context, _) = Context::new(&first, &mut scratch);
        assert_eq!(context.text(Field::CommandLine), Some("a b\u{fffd}c ".as_bytes()));
        let place = context.text(Field::CommandLine).map(<[u8]>::as_ptr);
        assert_eq!(context.text(Field::CommandLine).map(<[u8]>::as_ptr), place);
        let (mut context, _) = Context::new(&second, &mut scratch);
        assert_eq!(context.text(Field::CommandLine), Some(&b"x"[..]));
        assert_eq!(context.text(Field::CommandLine).map(<[u8]>::as_ptr), place, "the buffer is kept");
    }

    #[test]
    fn nothing_is_made_before_it_is_asked_for() {
        let mut scratch = Scratch::default();
        let event = event(&[b"a"]);
        let (mut context, _) = Context::new(&event, &mut scratch);
        assert!(context.text(Field::Name).is_none());
        assert!(context.made.command_line.is_none());
    }
}
