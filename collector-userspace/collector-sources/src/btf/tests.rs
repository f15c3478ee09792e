//! Small blobs made by hand, and broken ones.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

/// Writes BTF.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    layout: Vec<u8>,
    count: u32,
}

impl Default for Builder {
    fn default() -> Self {
        Self { types: Vec::new(), strings: vec![0], layout: Vec::new(), count: 0 }
    }
}

impl Builder {
    pub(crate) fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    /// A type of any kind; returns its id.
    pub(crate) fn push(
        &mut self,
        kind: u8,
        name: &str,
        flag_count: (bool, u32),
        last: u32,
        rest: &[u32],
    ) -> u32 {
        let name = self.string(name);
        let info = u32::from(flag_count.0) << 31 | u32::from(kind) << 24 | flag_count.1;
        for word in [name, info, last].iter().chain(rest) {
            self.types.extend(word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    pub(crate) fn int(&mut self, name: &str, bits: u32) -> u32 {
        self.push(1, name, (false, 0), bits.div_ceil(8), &[bits])
    }

    /// A struct (kind 4) or union (kind 5) of members (name, type, position).
    pub(crate) fn composite(
        &mut self,
        kind: u8,
        name: &str,
        size: u32,
        flag: bool,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let mut rest = Vec::new();
        for (member, type_id, position) in members {
            rest.extend([self.string(member), *type_id, *position]);
        }
        self.push(kind, name, (flag, members.len() as u32), size, &rest)
    }

    pub(crate) fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, u32)]) -> u32 {
        let mut rest = Vec::new();
        for (value, number) in values {
            rest.extend([self.string(value), *number]);
        }
        self.push(6, name, (signed, values.len() as u32), 4, &rest)
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let header_len: u32 = if self.layout.is_empty() { 24 } else { 32 };
        let mut blob = vec![0x9f, 0xeb, 1, 0];
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [header_len, 0, types, types, strings] {
            blob.extend(word.to_le_bytes());
        }
        if !self.layout.is_empty() {
            blob.extend((types + strings).to_le_bytes());
            blob.extend((self.layout.len() as u32).to_le_bytes());
        }
        blob.extend(&self.types);
        blob.extend(&self.strings);
        blob.extend(&self.layout);
        blob
    }
}

const STRUCT: u8 = 4;
const UNION: u8 = 5;

/// A kernel in small: anonymous unions, qualifiers, tags, bit fields, enums of both sizes, tracepoints.
fn sample() -> Vec<u8> {
    let mut builder = Builder::default();
    let int = builder.int("unsigned int", 32);
    let one_bit = builder.int("one_bit", 1);
    let pointer = builder.push(2, "", (false, 0), int, &[]);
    let array = builder.push(3, "", (false, 0), 0, &[int, int, 4]);
    let qstr = builder.composite(STRUCT, "qstr", 16, false, &[("len", int, 32), ("name", pointer, 64)]);
    let constant = builder.push(10, "", (false, 0), qstr, &[]);
    let tagged = builder.push(18, "rcu", (false, 0), constant, &[]);
    let alias = builder.push(8, "qstr_t", (false, 0), tagged, &[]);
    let either = builder.composite(UNION, "", 16, false, &[("d_name", alias, 0), ("__d_name", qstr, 0)]);
    let inside = builder.composite(STRUCT, "", 24, false, &[("first", int, 0), ("", either, 64)]);
    builder.composite(
        STRUCT,
        "dentry",
        64,
        true,
        &[
            ("flags", int, 0),
            ("", int, 3 << 24 | 32),
            ("bit", int, 1 << 24 | 35),
            ("", inside, 64),
            ("p", pointer, 256),
            ("many", array, 320),
        ],
    );
    builder.composite(STRUCT, "old_bits", 8, false, &[("plain", int, 0), ("one", one_bit, 37)]);
    builder.push(7, "twice", (false, 0), 0, &[]);
    builder.composite(STRUCT, "twice", 4, false, &[("x", int, 0)]);
    builder.composite(STRUCT, "twice", 8, false, &[("x", int, 0), ("y", int, 32)]);
    builder.enumeration("level", true, &[("low", u32::MAX), ("high", 7)]);
    let (big, small) = (builder.string("big"), builder.string("small"));
    builder.push(19, "wide", (true, 2), 8, &[big, 1, 2, small, u32::MAX, u32::MAX]);
    let (first, second) = (builder.string("dir"), builder.string("dentry"));
    let proto = builder.push(13, "", (false, 2), 0, &[first, pointer, second, int]);
    builder.push(12, "do_it", (false, 0), proto, &[]);
    let handler = builder.push(2, "", (false, 0), proto, &[]);
    builder.push(8, "btf_trace_it", (false, 0), handler, &[]);
    builder.push(14, "variable", (false, 0), int, &[1]);
    builder.push(15, ".data", (false, 1), 4, &[1, 0, 4]);
    builder.push(16, "float", (false, 0), 4, &[]);
    builder.push(17, "tag", (false, 0), int, &[u32::MAX]);
    builder.finish()
}

const NAMES: &[&str] = &[
    "dentry",
    "qstr",
    "old_bits",
    "twice",
    "level",
    "wide",
    "do_it",
    "btf_trace_it",
    "absent",
    "unsigned int",
];

fn bits(result: Result<Member, LookupError>) -> (u32, Option<u32>) {
    result.map(|member| (member.bit_offset, member.bit_size)).unwrap()
}

#[test]
fn members_are_found_through_unions_qualifiers_and_tags() {
    let blob = sample();
    let btf = Btf::parse(&blob, NAMES.iter().copied()).unwrap();
    assert_eq!(bits(btf.member("dentry", &["flags"])), (0, None));
    assert_eq!(bits(btf.member("dentry", &["first"])), (64, None));
    assert_eq!(bits(btf.member("dentry", &["d_name", "name"])), (192, None));
    assert_eq!(bits(btf.member("dentry", &["__d_name", "len"])), (160, None));
    assert_eq!(bits(btf.member("dentry", &["many"])), (320, None));
    assert_eq!(btf.size_of("dentry"), Ok(64));
}

#[test]
fn bit_fields_of_both_encodings_are_told_from_plain_members() {
    let blob = sample();
    let btf = Btf::parse(&blob, NAMES.iter().copied()).unwrap();
    assert_eq!(bits(btf.member("dentry", &["bit"])), (35, Some(1)));
    assert_eq!(bits(btf.member("old_bits", &["plain"])), (0, None));
    assert_eq!(bits(btf.member("old_bits", &["one"])), (37, Some(1)));
}

#[test]
fn answers_that_do_not_exist_say_what_is_absent() {
    let blob = sample();
    let btf = Btf::parse(&blob, NAMES.iter().copied()).unwrap();
    let text = |result: Result<Member, LookupError>| result.unwrap_err().to_string();
    assert_eq!(text(btf.member("absent", &["x"])), "no absent");
    assert_eq!(text(btf.member("unsigned int", &["x"])), "no unsigned int");
    assert_eq!(text(btf.member("nobody_asked", &["x"])), "nobody_asked was not indexed");
    assert_eq!(text(btf.member("dentry", &["d_name", "x"])), "dentry.d_name has no x");
    assert_eq!(text(btf.member("dentry", &["p", "x"])), "dentry.p is not a struct held by value");
    assert_eq!(btf.enum_value("level", "x").unwrap_err().to_string(), "enum level has no x");
    assert_eq!(btf.type_id(Class::Enum, "dentry"), Err(LookupError::NoType("dentry".to_owned())));
}

#[test]
fn a_second_definition_answers_when_the_first_cannot() {
    let blob = sample();
    let btf = Btf::parse(&blob, NAMES.iter().copied()).unwrap();
    assert_eq!(bits(btf.member("twice", &["y"])), (32, None));
    assert_eq!(btf.size_of("twice"), Ok(4));
}

#[test]
fn enum_values_keep_sign_and_width() {
    let blob = sample();
    let btf = Btf::parse(&blob, NAMES.iter().copied()).unwrap();
    assert_eq!(btf.enum_value("level", "low"), Ok(-1));
    assert_eq!(btf.enum_value("level", "high"), Ok(7));
    assert_eq!(btf.enum_value("wide", "big"), Ok((2 << 32) + 1));
    assert_eq!(btf.enum_value("wide", "small"), Ok(-1));
}

#[test]
fn parameters_are_counted_for_functions_and_tracepoints() {
    let blob = sample();
    let btf = Btf::parse(&blob, NAMES.iter().copied()).unwrap();
    assert_eq!(btf.parameter_count(Class::Function, "do_it"), Ok(2));
    assert_eq!(btf.parameter_count(Class::Typedef, "btf_trace_it"), Ok(2));
    assert!(btf.parameter_count(Class::Composite, "dentry").is_err());
    assert!(btf.type_id(Class::Function, "do_it").is_ok());
    assert_eq!(btf.parameter_index("do_it", "dir"), Ok(0));
    assert_eq!(btf.parameter_index("do_it", "dentry"), Ok(1));
    let gone = btf.parameter_index("do_it", "den").unwrap_err();
    assert_eq!(gone.to_string(), "do_it has no parameter den");
    assert!(btf.parameter_index("btf_trace_it", "dir").is_err());
}

#[test]
fn headers_of_something_else_are_refused() {
    let no_names: [&str; 0] = [];
    let parse = |blob: &[u8]| Btf::parse(blob, no_names).map(|btf| btf.type_count());
    let truncated = |offset| Err(BtfError::Truncated { what: "header", offset });
    assert_eq!(parse(&[]), truncated(0));
    assert_eq!(parse(b"\x7fELF"), Err(BtfError::Magic { magic: 0x457f }));
    assert_eq!(parse(&[0xeb, 0x9f, 1, 0]), Err(BtfError::ForeignEndian));
    assert_eq!(parse(&[0x9f, 0xeb, 2, 0]), Err(BtfError::Version { version: 2 }));
    assert_eq!(parse(&[0x9f, 0xeb, 1, 0, 24, 0, 0, 0]), truncated(8));
    assert_eq!(parse(&[0x9f, 0xeb, 1, 0, 8, 0, 0, 0]), truncated(4));
    assert_eq!(parse(&Builder::default().finish()), Ok(0));
}

#[test]
fn an_unknown_kind_needs_a_layout() {
    let mut builder = Builder::default();
    builder.push(25, "", (false, 2), 0, &[9, 9, 9]);
    let id = builder.int("int", 32);
    builder.composite(STRUCT, "s", 4, false, &[("x", id, 0)]);
    assert_eq!(
        Btf::parse(&builder.finish(), ["s"]).unwrap_err(),
        BtfError::UnknownKind { kind: 25, offset: 24 }
    );
    // Four bytes, then four for each of the two elements.
    builder.layout = vec![0; 25 * 4];
    builder.layout.extend([4, 4, 0, 0]);
    let blob = builder.finish();
    let btf = Btf::parse(&blob, ["s"]).unwrap();
    assert_eq!(bits(btf.member("s", &["x"])), (0, None));
}

#[test]
fn loops_end() {
    let mut builder = Builder::default();
    // A typedef of itself, and a struct whose anonymous members are itself.
    builder.push(8, "self_t", (false, 0), 1, &[]);
    builder.composite(STRUCT, "s", 4, false, &[("a", 1, 0)]);
    builder.composite(STRUCT, "bush", 4, false, &[("", 3, 0); 2000]);
    let blob = builder.finish();
    let btf = Btf::parse(&blob, ["s", "bush", "self_t"]).unwrap();
    assert!(matches!(btf.member("s", &["a", "b"]), Err(LookupError::Broken(BtfError::TooDeep { id: 1 }))));
    assert!(matches!(btf.member("bush", &["x"]), Err(LookupError::Broken(BtfError::TooDeep { .. }))));
    assert!(btf.parameter_count(Class::Typedef, "self_t").is_err());
}

#[test]
fn names_outside_the_strings_are_an_error() {
    let mut builder = Builder::default();
    builder.composite(STRUCT, "s", 4, false, &[]);
    let mut blob = builder.finish();
    blob[24..28].copy_from_slice(&999_u32.to_le_bytes());
    assert_eq!(Btf::parse(&blob, ["s"]).unwrap_err(), BtfError::BadName { name: 999, offset: 24 });
}

/// Every kind of question, so that whatever a broken blob holds is reached.
fn ask_everything(blob: &[u8]) {
    let Ok(btf) = Btf::parse(blob, NAMES.iter().copied()) else { return };
    for name in NAMES {
        let _ = btf.size_of(name);
        for member in ["x", "y", "flags", "d_name", "one", "bit"] {
            let _ = btf.member(name, &[member]);
            let _ = btf.member(name, &[member, "len"]);
        }
        for value in ["low", "high", "big", "absent"] {
            let _ = btf.enum_value(name, value);
        }
        for class in [Class::Composite, Class::Enum, Class::Function, Class::Typedef] {
            let _ = btf.type_id(class, name);
            let _ = btf.parameter_count(class, name);
            let _ = btf.prototype(class, name);
        }
    }
}

#[test]
fn every_truncation_is_answered() {
    let blob = sample();
    for len in 0..blob.len() {
        ask_everything(&blob[..len]);
        assert!(Btf::parse(&blob[..len], NAMES.iter().copied()).is_err());
    }
}

proptest! {
    #[test]
    fn corruption_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut blob = sample();
        for (index, byte) in changes {
            let at = index.index(blob.len());
            blob[at] = byte;
        }
        ask_everything(&blob);
    }

    #[test]
    fn corrupt_words_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 1..6)) {
        let mut blob = sample();
        for (index, word) in changes {
            let at = index.index(blob.len() / 4 - 1) * 4;
            blob[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        ask_everything(&blob);
    }

    #[test]
    fn noise_behind_a_header_never_panics(noise in prop::collection::vec(any::<u8>(), 0..600), types in 0_u32..600) {
        let mut blob = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types, types, 600_u32.saturating_sub(types)] {
            blob.extend(word.to_le_bytes());
        }
        blob.extend(noise);
        ask_everything(&blob);
    }
}
