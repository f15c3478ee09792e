//! A serializer for the few shapes events are made of, into a byte vector.
//!
//! It writes what serde_json would, in less than half the time: member names are known to need no escaping, strings are
//! searched for characters that do in blocks, and nothing goes through `io::Write`. Anything rare is left to serde_json:
//! numbers that are no integers, and everything inside a newtype (see [`Foreign`](super::members::Foreign)).

use std::fmt::{self, Write as _};

use serde::ser::{Error as _, Impossible, SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::Error;

use super::digits::Decimal;

/// Appends one value.
pub(super) struct Compact<'a>(pub(super) &'a mut Vec<u8>);

/// An array or object being written: what to put before the next element.
pub(super) struct Elements<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

type Unsupported = Impossible<(), Error>;

impl<'a> Compact<'a> {
    fn begin(self, bracket: u8) -> Elements<'a> {
        self.0.push(bracket);
        Elements { out: self.0, first: true }
    }

    fn foreign<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(&mut serde_json::Serializer::new(self.0))
    }
}

impl SerializeSeq for Elements<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push(b',');
        }
        value.serialize(Compact(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.out.push(b']');
        Ok(())
    }
}

impl SerializeStruct for Elements<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        debug_assert!(!key.bytes().any(needs_escape), "{key} is no name");
        let first = std::mem::replace(&mut self.first, false);
        self.out.extend_from_slice(if first { b"\"" } else { b",\"" });
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.serialize(Compact(self.out))
    }

    fn end(self) -> Result<(), Error> {
        self.out.push(b'}');
        Ok(())
    }
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether one of eight bytes needs escaping: a subtraction borrows from the top bit of exactly those that are too small.
const fn any_needs_escape(block: [u8; 8]) -> bool {
    const fn every(byte: u8) -> u64 {
        u64::from_le_bytes([byte; 8])
    }
    const fn below(bytes: u64, limit: u8) -> u64 {
        bytes.wrapping_sub(every(limit)) & !bytes
    }
    let bytes = u64::from_le_bytes(block);
    let found = below(bytes, 0x20) | below(bytes ^ every(b'"'), 1) | below(bytes ^ every(b'\\'), 1);
    found & every(0x80) != 0
}

/// Whether none of the bytes needs escaping.
fn is_clean(bytes: &[u8]) -> bool {
    let (blocks, _) = bytes.as_chunks::<8>();
    match bytes.last_chunk::<8>() {
        // The last block overlaps the one before instead of leaving single bytes over.
        Some(last) => !blocks.iter().any(|block| any_needs_escape(*block)) && !any_needs_escape(*last),
        None => !bytes.iter().any(|byte| needs_escape(*byte)),
    }
}

/// Appends the text with what JSON wants escaped, without quotes.
fn escape(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    if is_clean(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for &byte in bytes {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control @ 0..0x20 => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(control >> 4), digit(control)]);
            }
            plain => out.push(plain),
        }
    }
}

/// Escapes what is formatted into it.
struct Escaping<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

macro_rules! integers {
    ($($unsigned:ident $u:ty, $signed:ident $i:ty;)+) => {$(
        fn $unsigned(self, value: $u) -> Result<(), Error> {
            self.0.extend_from_slice(Decimal::of(u64::from(value)).as_bytes());
            Ok(())
        }

        fn $signed(self, value: $i) -> Result<(), Error> {
            if value < 0 {
                self.0.push(b'-');
            }
            self.0.extend_from_slice(Decimal::of(u64::from(value.unsigned_abs())).as_bytes());
            Ok(())
        }
    )+};
}

macro_rules! foreign {
    ($($method:ident $type:ty;)+) => {$(
        fn $method(self, value: $type) -> Result<(), Error> {
            self.foreign(&value)
        }
    )+};
}

fn unsupported<T>() -> Result<T, Error> {
    Err(Error::custom("events have no such shape; wrap it in Foreign"))
}

impl<'a> Serializer for Compact<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Unsupported;
    type SerializeTupleStruct = Unsupported;
    type SerializeTupleVariant = Unsupported;
    type SerializeMap = Unsupported;
    type SerializeStruct = Elements<'a>;
    type SerializeStructVariant = Unsupported;

    integers! {
        serialize_u8 u8, serialize_i8 i8;
        serialize_u16 u16, serialize_i16 i16;
        serialize_u32 u32, serialize_i32 i32;
        serialize_u64 u64, serialize_i64 i64;
    }

    foreign! {
        serialize_f32 f32;
        serialize_f64 f64;
        serialize_char char;
        serialize_bytes &[u8];
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.0.push(b'"');
        escape(self.0, text);
        self.0.push(b'"');
        Ok(())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.0.push(b'"');
        write!(Escaping(self.0), "{value}").map_err(Error::custom)?;
        self.0.push(b'"');
        Ok(())
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<Elements<'a>, Error> {
        Ok(self.begin(b'['))
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Elements<'a>, Error> {
        Ok(self.begin(b'{'))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.foreign(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        unsupported()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        unsupported()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        unsupported()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        unsupported()
    }

    fn serialize_tuple(self, _: usize) -> Result<Unsupported, Error> {
        unsupported()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Unsupported, Error> {
        unsupported()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Unsupported, Error> {
        unsupported()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Unsupported, Error> {
        unsupported()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Unsupported, Error> {
        unsupported()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact<T: Serialize + ?Sized>(value: &T) -> String {
        let mut out = Vec::new();
        value.serialize(Compact(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_as_serde_json_writes_them() {
        let every_ascii: String = (0..=0x7f).map(char::from).collect();
        for text in
            ["", "plain", "ü and \u{2028} \u{7f}", "long enough for two blocks, no escapes", &every_ascii]
        {
            assert_eq!(compact(text), serde_json::to_string(text).unwrap());
        }
        // Every byte at every place of a block, beside bytes that look like it in some bits.
        for byte in (0..=0x7f).map(char::from) {
            for place in 0..20 {
                let mut text: Vec<char> = "!#[]\u{7f} ()^~09azAZ_-+*/&".chars().collect();
                text[place] = byte;
                let text: String = text.into_iter().collect();
                assert_eq!(compact(&text), serde_json::to_string(&text).unwrap());
            }
        }
        for number in [i64::MIN, -1, 0, 1, 9, 10, 12_345, i64::MAX] {
            assert_eq!(compact(&number), number.to_string());
        }
        assert_eq!(compact(&u64::MAX), u64::MAX.to_string());
        let floats = vec![0.1, -2.5, 1e300];
        assert_eq!(compact(&floats), serde_json::to_string(&floats).unwrap());
        assert_eq!(compact(&vec![true, false]), "[true,false]");
        assert_eq!(compact(&Vec::<u8>::new()), "[]");
    }

    #[test]
    fn a_shape_that_is_not_foreseen_is_an_error_not_wrong_json() {
        let mut out = Vec::new();
        assert!((1, 2).serialize(Compact(&mut out)).is_err());
        assert!(None::<u8>.serialize(Compact(&mut out)).is_err());
        assert!(().serialize(Compact(&mut out)).is_err());
    }
}
