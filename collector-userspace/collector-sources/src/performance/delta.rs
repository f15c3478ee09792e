//! From two readings of a counter to a value, or to a reason why there is none.

/// Why two readings give no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoValue {
    /// The counter went backwards: it is another one's, wrapped, or the kernel corrected it.
    Backwards,
    /// More than can have been, or no time passed.
    Implausible,
}

/// Nanoseconds in a second.
const SECOND: f64 = 1e9;

/// By how much a counter grew.
pub(super) const fn growth(before: u64, after: u64) -> Result<u64, NoValue> {
    match after.checked_sub(before) {
        Some(growth) => Ok(growth),
        None => Err(NoValue::Backwards),
    }
}

/// What that is in a second.
pub(super) fn per_second(before: u64, after: u64, elapsed_ns: u64) -> Result<f64, NoValue> {
    let growth = growth(before, after)?;
    if elapsed_ns == 0 {
        return Err(NoValue::Implausible);
    }
    Ok(growth as f64 * SECOND / elapsed_ns as f64)
}

/// Percent of one processor, never more than there are processors.
///
/// A little more than that comes from rounding to ticks, and from processes that were held up between two reads; twice as
/// much cannot be.
pub(super) fn percent_of_one(
    ticks: u64,
    elapsed_ns: u64,
    ticks_per_second: u64,
    processors: u32,
) -> Result<f64, NoValue> {
    /// Ticks by which short intervals may be off.
    const SLACK: f64 = 4.0;
    if elapsed_ns == 0 || ticks_per_second == 0 {
        return Err(NoValue::Implausible);
    }
    let processors = f64::from(processors.max(1));
    let available = processors * ticks_per_second as f64 * elapsed_ns as f64 / SECOND;
    if ticks as f64 > 2.0 * available + SLACK * processors {
        return Err(NoValue::Implausible);
    }
    Ok((ticks as f64 / available).min(1.0) * processors * 100.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_over_the_time_that_passed() {
        assert_eq!(per_second(1_000, 5_096, 2_000_000_000), Ok(2_048.0));
        assert_eq!(per_second(7, 7, 1), Ok(0.0));
        assert_eq!(per_second(8, 7, 1_000_000_000), Err(NoValue::Backwards));
        assert_eq!(per_second(7, 8, 0), Err(NoValue::Implausible));
    }

    #[test]
    fn processor_time_is_a_share_of_one_processor() {
        let seconds = 10_000_000_000;
        assert_eq!(percent_of_one(500, seconds, 100, 2), Ok(50.0));
        assert_eq!(percent_of_one(1_500, seconds, 100, 2), Ok(150.0));
        // Rounding, then more than there was.
        assert_eq!(percent_of_one(2_001, seconds, 100, 2), Ok(200.0));
        assert_eq!(percent_of_one(4_009, seconds, 100, 2), Err(NoValue::Implausible));
        assert_eq!(percent_of_one(1, 0, 100, 2), Err(NoValue::Implausible));
    }

    proptest! {
        #[test]
        fn nothing_gives_an_absurd_value(
            before: u64, after: u64, elapsed: u64, ticks_per_second: u64, processors: u32,
        ) {
            if let Ok(rate) = per_second(before, after, elapsed) {
                prop_assert!(rate.is_finite() && rate >= 0.0);
            }
            if let Ok(percent) = percent_of_one(before, elapsed, ticks_per_second, processors) {
                prop_assert!((0.0..=100.0 * f64::from(processors.max(1))).contains(&percent));
            }
        }
    }
}
