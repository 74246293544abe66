use std::convert::Infallible;

use rand::{SeedableRng, TryRng};

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
    mix(mix(seed).wrapping_add(stream.wrapping_mul(STEP)))
}

/// A generator for many short streams, such as the noise of each row of a table: SplitMix64
/// (Steele, Lea, Flood 2014) is seeded for nothing, where [`Rng`] fills a block of 256 bytes first.
/// Portable.
///
/// ```
/// use counterweight_core::SplitMix;
/// use rand::RngExt;
///
/// let drawn: [u64; 2] = SplitMix::new(7).random();
/// assert_eq!(drawn, SplitMix::new(7).random::<[u64; 2]>());
/// assert_ne!(drawn, SplitMix::new(8).random::<[u64; 2]>());
/// ```
#[derive(Debug, Clone)]
pub struct SplitMix {
    state: u64,
}

impl SplitMix {
    /// A generator for a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }
}

impl TryRng for SplitMix {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let drawn = mix(self.state);
        self.state = self.state.wrapping_add(STEP);
        Ok(drawn)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.try_next_u64()?.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// The golden ratio's share of 2⁶⁴.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
