//! Fixed mixing functions: their results stand in stored events, so they never change.

/// Mixes 64 bits so that every input bit changes about half of the output (the finaliser of SplitMix64).
#[must_use]
pub const fn mix64(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// 32 bits that stand for an image, from the place of its stack: mixed, so that places close together give digests
/// far apart. 0, which means that there is no stack or that it is unknown, stays 0.
#[must_use]
pub const fn image_digest(start_stack: u64) -> u32 {
    if start_stack == 0 {
        return 0;
    }
    let mixed = mix64(start_stack);
    let folded = (mixed >> 32) as u32 ^ mixed as u32;
    if folded == 0 { 1 } else { folded }
}
