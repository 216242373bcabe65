//! Random generators that repeat.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The random generator of one stage: drawing more in one stage changes no other.
pub(crate) fn rng(seed: u64, stage: &str) -> StdRng {
    // FNV-1a.
    let stage = stage.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    StdRng::seed_from_u64(seed ^ stage)
}
