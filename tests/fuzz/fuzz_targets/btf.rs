//! Any bytes are type information or an error, and every offset we look for is found or missing.
#![no_main]

use collector_sources::btf::Btf;
use collector_sources::offsets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(btf) = Btf::parse(bytes, offsets::names()) {
        let _ = offsets::resolve(&btf);
    }
});
