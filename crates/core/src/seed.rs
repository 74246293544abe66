use rand::SeedableRng;

/// The generator behind everything random: ChaCha8, portable across platforms
/// and library versions, unlike `StdRng`.
pub type Rng = rand_chacha::ChaCha8Rng;

/// A generator for a seed.
pub fn rng(seed: u64) -> Rng {
    Rng::seed_from_u64(seed)
}

/// An independent seed for item `stream` of a seeded job.
///
/// Parallel code gives each item its own stream, so the result does not depend
/// on the number of threads. The mixing is SplitMix64's finaliser (Steele, Lea,
/// Flood 2014), applied to both words.
///
/// ```
/// use counterweight_core::derive;
/// assert_eq!(derive(7, 1), derive(7, 1));
/// assert_ne!(derive(7, 1), derive(7, 2));
/// assert_ne!(derive(7, 1), derive(8, 1));
/// ```
pub fn derive(seed: u64, stream: u64) -> u64 {
    mix(mix(seed).wrapping_add(stream.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
