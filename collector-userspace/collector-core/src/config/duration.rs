//! Durations in configuration files: text such as `"30s"`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serializer, de};

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // Half of `u64::MAX` seconds is as good as for ever.
    let signed = SignedDuration::try_from(*duration).unwrap_or(SignedDuration::MAX);
    serializer.collect_str(&format_args!("{signed:#}"))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let signed: SignedDuration =
        text.parse().map_err(|error| de::Error::custom(format_args!("duration {text:?}: {error}")))?;
    Duration::try_from(signed).map_err(|_| de::Error::custom(format_args!("duration {text:?} is negative")))
}
