//! Any bytes are type information or an error, and everything we look for is found or missing.
#![no_main]

use collector_sources::btf::{Btf, Class, Prototype};
use collector_sources::{offsets, plan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Short names are easier to come by.
    let names = || offsets::names().chain(plan::functions()).chain(["f", "it"]);
    if let Ok(btf) = Btf::parse(bytes, names()) {
        let _ = offsets::resolve(&btf);
        for name in names() {
            for class in [Class::Function, Class::Typedef] {
                let Ok(prototype) = btf.prototype(class, name) else { continue };
                let _ = plan::mismatch(&prototype);
                let _ = prototype.to_string().parse::<Prototype>();
            }
        }
    }
});
