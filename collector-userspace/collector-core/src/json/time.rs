//! Wall-clock times as RFC 3339 text, without a heap allocation.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::digits::pair;

/// A time written as `2026-03-04T05:06:07.000000008Z`: UTC, always nine fractional digits, so that lines sort as text.
///
/// Years outside 0000 to 9999 cannot be written in RFC 3339 and are clamped to its first and last instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339(pub(crate) SystemTime);

const LEN: usize = "2026-03-04T05:06:07.000000008Z".len();
const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// 0000-01-01T00:00:00Z in seconds since the epoch.
const FIRST_SECOND: i64 = -62_167_219_200;
/// 9999-12-31T23:59:59Z in seconds since the epoch.
const LAST_SECOND: i64 = 253_402_300_799;

impl Rfc3339 {
    fn format(self) -> [u8; LEN] {
        let (seconds, nanos) = self.since_epoch();
        let (days, second_of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
        let (year, month, day) = civil_from_days(days);
        let mut out = *b"0000-00-00T00:00:00.000000000Z";
        let pairs = [
            (0, year / 100),
            (2, year),
            (5, month),
            (8, day),
            (11, second_of_day / 3600),
            (14, second_of_day / 60 % 60),
            (17, second_of_day % 60),
            (20, nanos / 10_000_000),
            (22, nanos / 100_000),
            (24, nanos / 1000),
            (26, nanos / 10),
        ];
        for (place, value) in pairs {
            [out[place], out[place + 1]] = pair(value);
        }
        out[28] = b'0' + (nanos % 10) as u8;
        out
    }

    /// Whole seconds since the epoch, rounded down, and the nanoseconds beyond them.
    fn since_epoch(self) -> (i64, u32) {
        let (seconds, nanos) = match self.0.duration_since(UNIX_EPOCH) {
            Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
            Err(before) => {
                let nanos = -(before.duration().as_nanos() as i128);
                let seconds = nanos.div_euclid(NANOS_PER_SECOND);
                (i64::try_from(seconds).unwrap_or(i64::MIN), nanos.rem_euclid(NANOS_PER_SECOND) as u32)
            }
        };
        if seconds < FIRST_SECOND {
            (FIRST_SECOND, 0)
        } else if seconds > LAST_SECOND {
            (LAST_SECOND, 999_999_999)
        } else {
            (seconds, nanos)
        }
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.format();
        // Digits and ASCII punctuation only; the empty string can never be seen.
        serializer.serialize_str(std::str::from_utf8(&bytes).unwrap_or_default())
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.format()).unwrap_or_default())
    }
}

/// Year, month and day of a count of days since 1970-01-01, for years 0 to 9999.
///
/// Counts in years that begin on 1 March, so that the leap day is the last day and month lengths follow a line
/// (153 days in five months); eras of 400 years repeat exactly (146 097 days).
fn civil_from_days(days: i64) -> (u32, u32, u32) {
    const DAYS_PER_ERA: i64 = 146_097;
    const DAYS_FROM_YEAR_0_MARCH_TO_1970: i64 = 719_468;
    let days = days + DAYS_FROM_YEAR_0_MARCH_TO_1970;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What jiff writes for the same instant.
    fn reference(time: SystemTime) -> String {
        let timestamp = jiff::Timestamp::try_from(time).unwrap();
        format!("{timestamp:.9}")
    }

    #[test]
    fn times_are_written_as_jiff_writes_them() {
        let mut instants = vec![0, 1, -1, 951_782_400, 951_868_799, 4_107_542_400, -2_203_891_200];
        // An odd stride that meets every month, weekday and leap rule between the years 1 and 9999.
        instants.extend((-62_135_596_800..253_370_764_800_i64).step_by(86_400 * 17 + 12_345));
        for (index, seconds) in instants.into_iter().enumerate() {
            let nanos = (index as u32).wrapping_mul(123_456_789) % 1_000_000_000;
            let offset = Duration::new(seconds.unsigned_abs(), nanos);
            let time = if seconds < 0 { UNIX_EPOCH - offset } else { UNIX_EPOCH + offset };
            assert_eq!(Rfc3339(time).to_string(), reference(time));
        }
    }

    #[test]
    fn times_beyond_rfc_3339_are_clamped() {
        let far = UNIX_EPOCH + Duration::from_secs(300_000_000_000);
        assert_eq!(Rfc3339(far).to_string(), "9999-12-31T23:59:59.999999999Z");
        let long_ago = UNIX_EPOCH - Duration::from_secs(70_000_000_000);
        assert_eq!(Rfc3339(long_ago).to_string(), "0000-01-01T00:00:00.000000000Z");
    }
}
