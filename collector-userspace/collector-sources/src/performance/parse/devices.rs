//! Files with a line for each device.

use super::{lines, number, words};

/// Bytes of a sector in `/proc/diskstats`, whatever the device's own are.
const SECTOR: u64 = 512;

/// Name, and bytes read and written, of each line of `/proc/diskstats` that can be read.
pub(in super::super) fn disks(text: &[u8]) -> impl Iterator<Item = (&[u8], [u64; 2])> {
    lines(text).filter_map(|line| {
        // major minor name reads merged sectors time writes merged sectors …
        let mut fields = words(line);
        let name = fields.nth(2)?;
        let read = number(fields.nth(2)?)?;
        let written = number(fields.nth(3)?)?;
        Some((name, [read.saturating_mul(SECTOR), written.saturating_mul(SECTOR)]))
    })
}

/// Name, and bytes received and transmitted, of each line of `/proc/net/dev` that can be read.
pub(in super::super) fn interfaces(text: &[u8]) -> impl Iterator<Item = (&[u8], [u64; 2])> {
    lines(text).filter_map(|line| {
        let colon = line.iter().rposition(|&byte| byte == b':')?;
        let name = line.get(..colon)?.trim_ascii();
        // bytes packets errs drop fifo frame compressed multicast, and as many again.
        let mut fields = words(line.get(colon + 1..)?);
        let received = number(fields.next()?)?;
        let transmitted = number(fields.nth(7)?)?;
        (!name.is_empty()).then_some((name, [received, transmitted]))
    })
}
