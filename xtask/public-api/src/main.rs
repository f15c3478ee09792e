//! Prints the public API that a file of rustdoc's JSON describes, one item a line.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: xtask-public-api FILE.json")?;
    // What every type has from the language, and from blanket implementations, says nothing about this crate.
    let listing = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()?;
    println!("{listing}");
    Ok(())
}
