//! Numbers, sizes, times and errors in the form people read.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes with a unit: `512 B`, `1.5 KiB`, `12 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = number as f64;
    let mut unit = "B";
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" || value >= 10.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A measured value with its unit: `97.5 %`, `12 MiB`, `3.4 KiB/s`, `120 1/s`.
pub(crate) fn measured(value: f64, unit: &str) -> String {
    match unit {
        "bytes" => bytes(value as u64),
        "bytes/s" => format!("{}/s", bytes(value as u64)),
        "percent" => format!("{value:.1} %"),
        _ if value.fract() == 0.0 => format!("{value:.0} {unit}"),
        _ => format!("{value:.2} {unit}"),
    }
}

/// A duration with the two digits that matter: `812 µs`, `4.7 ms`, `12 s`, `5 min 3 s`, `3 d 4 h`.
pub(crate) fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let seconds = duration.as_secs();
    let short = |value: f64, unit: &str| {
        if value >= 9.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
    };
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => short(nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => short(nanos as f64 / 1e6, "ms"),
        _ if seconds < 60 => short(duration.as_secs_f64(), "s"),
        _ if seconds < 3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The system's words for an errno, without the number.
pub(crate) fn errno(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut chars = words.chars();
    let first = chars.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}

/// The name of a signal, or its number.
pub(crate) fn signal(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
        "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number).ok().and_then(|number| NAMES.get(number.checked_sub(1)?));
    name.map_or_else(|| format!("signal {number}"), |name| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 1_023, 1_536, 10 << 20, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "10 MiB", "16 EiB"]
        );
    }

    #[test]
    fn durations_read_well() {
        let shown = [
            999,
            812_400,
            4_700_000,
            12_000_000_000,
            303_000_000_000,
            11_000_000_000_000,
            273_600_000_000_000,
        ]
        .map(|nanos| duration(Duration::from_nanos(nanos)));
        assert_eq!(shown, ["999 ns", "812 µs", "4.7 ms", "12 s", "5 min 3 s", "3 h 3 min", "3 d 4 h"]);
    }

    #[test]
    fn measurements_read_well() {
        let shown = [
            measured(97.52, "percent"),
            measured(1_536.4, "bytes"),
            measured(1_536.4, "bytes/s"),
            measured(3.0, "processes"),
            measured(0.526, "processes"),
            measured(f64::NAN, "percent"),
            measured(-1.0, "bytes"),
        ];
        let expected = ["97.5 %", "1.5 KiB", "1.5 KiB/s", "3 processes", "0.53 processes", "NaN %", "0 B"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn errors_and_signals_have_names() {
        assert_eq!(errno(111), "connection refused");
        assert_eq!([9, 15, 31, 34, 0].map(signal), ["SIGKILL", "SIGTERM", "SIGSYS", "signal 34", "signal 0"]);
    }
}
