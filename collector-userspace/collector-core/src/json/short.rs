//! Short ASCII texts built on the stack: std's formatting costs several times as much.

use std::fmt::{self, Write};
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::digits::Decimal;
use crate::event::ExecId;

/// Enough for an [`ExecId`] with the largest numbers: 8 + 10 + 20 + 8 digits and 3 hyphens.
const CAPACITY: usize = 49;

/// Text being built from the left. What does not fit is cut off; the callers' texts fit.
#[derive(Clone, Debug)]
pub(crate) struct ShortText {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl ShortText {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; CAPACITY], len: 0 }
    }

    pub(crate) fn exec_id(id: ExecId) -> Self {
        let ExecId { boot, pid, start_ticks, image } = id;
        let mut text = Self::new();
        text.push(&hex32(boot));
        text.push(b"-");
        text.push(Decimal::of(u64::from(pid)).as_bytes());
        text.push(b"-");
        text.push(Decimal::of(start_ticks).as_bytes());
        text.push(b"-");
        text.push(&hex32(image));
        text
    }

    /// A set of capabilities: sixteen hexadecimal digits.
    pub(super) fn capabilities(set: u64) -> Self {
        let mut text = Self::new();
        text.push(&hex32((set >> 32) as u32));
        text.push(&hex32(set as u32));
        text
    }

    /// A device number as `major:minor`.
    pub(super) fn device((major, minor): (u32, u32)) -> Self {
        let mut text = Self::new();
        text.push(Decimal::of(u64::from(major)).as_bytes());
        text.push(b":");
        text.push(Decimal::of(u64::from(minor)).as_bytes());
        text
    }

    /// A mode as C and `chmod` write it: octal with a leading zero.
    pub(super) fn mode(mode: u32) -> Self {
        let mut text = Self::new();
        text.push(b"0");
        // Eleven octal digits hold 32 bits.
        let significant = (1..11).rev().find(|place| mode >> (3 * place) != 0).unwrap_or(0);
        for place in (0..=significant).rev() {
            text.push(&[b'0' + (mode >> (3 * place) & 7) as u8]);
        }
        text
    }

    /// An address as std displays it, at most 45 bytes.
    pub(crate) fn address(address: IpAddr) -> Self {
        let mut text = Self::new();
        // Writing to a `ShortText` does not fail.
        let _ = write!(text, "{address}");
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn as_str(&self) -> &str {
        // ASCII only; the empty string can never be seen.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl Write for ShortText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl Serialize for ShortText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Eight hexadecimal digits, lower case.
fn hex32(value: u32) -> [u8; 8] {
    std::array::from_fn(|index| b"0123456789abcdef"[(value >> (28 - 4 * index) & 15) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_written_as_they_are_displayed() {
        let largest = ExecId { boot: u32::MAX, pid: u32::MAX, start_ticks: u64::MAX, image: u32::MAX };
        let smallest = ExecId { boot: 0, pid: 0, start_ticks: 0, image: 0 };
        for id in [largest, smallest, ExecId { boot: 0xab, pid: 10, start_ticks: 100, image: 0x1000_0000 }] {
            assert_eq!(ShortText::exec_id(id).as_str(), id.to_string());
        }
    }

    #[test]
    fn the_longest_address_fits() {
        let longest = "::ffff:255.255.255.255".parse::<IpAddr>().unwrap();
        for address in [longest, IpAddr::from([0xffff_u16; 8]), IpAddr::from([0, 0, 0, 0])] {
            assert_eq!(ShortText::address(address).as_str(), address.to_string());
        }
    }

    #[test]
    fn numbers_are_written_as_documented() {
        assert_eq!(ShortText::capabilities(0x1ff_ffff_ffff).as_str(), "000001ffffffffff");
        assert_eq!(ShortText::device((259, 0)).as_str(), "259:0");
        assert_eq!(ShortText::device((u32::MAX, u32::MAX)).as_str(), "4294967295:4294967295");
        for mode in [0, 0o644, 0o100_644, u32::MAX] {
            assert_eq!(ShortText::mode(mode).as_str(), format!("0{mode:o}"));
        }
    }
}
