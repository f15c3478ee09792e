//! The files of `/proc`, from bytes to numbers: pure functions that take any bytes.
//!
//! A number that is missing, has a sign or does not fit is absent. Texts of the kernel are not expected to be UTF-8.

mod devices;
mod process;
mod system;
#[cfg(test)]
mod tests;

pub(super) use self::devices::{disks, interfaces};
pub(super) use self::process::{PidStat, ProcessIo, real_uid};
pub(super) use self::system::{CpuTicks, Memory, Pressure, SystemStat, load};

/// A whole number in decimal digits.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A number with a fraction that is finite and not negative.
fn fraction(digits: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

/// What stands between blanks.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}
