use std::collections::BTreeMap;

use counterweight_core::{Rng, derive, rng};
use rand::RngExt;
use rand_distr::{Binomial, Distribution};

use crate::strategy::Direction;
use crate::{Result, Strategy};

/// Random over- or under-sampling of a stream whose class counts are known: how often each row
/// that comes by is written, so that the final counts are exact.
///
/// Dropping is selection sampling (Knuth, The Art of Computer Programming, 3.4.2, algorithm S);
/// copies are drawn with replacement, row by row, from the binomial of what is left.
///
/// ```
/// use counterweight_samplers::{Quota, Strategy};
///
/// let labels = [0, 0, 1, 0, 0, 0, 1, 0];
/// let mut quota = Quota::under([(0, 6), (1, 2)].into(), &Strategy::Auto, 7)?;
/// let kept: usize = labels.iter().map(|&class| quota.next(class)).sum();
/// assert_eq!(kept, 4);
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Quota {
    direction: Direction,
    classes: BTreeMap<usize, Left>,
}

/// What is to come of a class.
#[derive(Debug, Clone)]
struct Left {
    rng: Rng,
    rows: usize,
    /// Rows to keep, or copies to make.
    wanted: usize,
}

impl Quota {
    /// Rows of large classes are dropped.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) for a strategy that does not suit the counts.
    pub fn under(counts: BTreeMap<usize, usize>, strategy: &Strategy, seed: u64) -> Result<Self> {
        Self::new(counts, strategy, Direction::Under, seed)
    }

    /// Rows of small classes are copied.
    ///
    /// # Errors
    /// As [`under`](Self::under).
    pub fn over(counts: BTreeMap<usize, usize>, strategy: &Strategy, seed: u64) -> Result<Self> {
        Self::new(counts, strategy, Direction::Over, seed)
    }

    fn new(
        counts: BTreeMap<usize, usize>,
        strategy: &Strategy,
        direction: Direction,
        seed: u64,
    ) -> Result<Self> {
        let targets = strategy.targets(&counts, direction, "random resampling of a stream")?;
        let left = |(class, rows): (usize, usize)| {
            let target = targets[&class];
            let wanted = if direction == Direction::Under { target } else { target - rows };
            (class, Left { rng: rng(derive(seed, class as u64)), rows, wanted })
        };
        Ok(Self { direction, classes: counts.into_iter().map(left).collect() })
    }

    /// How often to write the next row, of this class; 0 for a class or row that was not counted.
    pub fn next(&mut self, class: usize) -> usize {
        let Some(left) = self.classes.get_mut(&class).filter(|left| left.rows > 0) else {
            return 0;
        };
        let drawn = match self.direction {
            Direction::Under => usize::from(left.rng.random_range(0..left.rows) < left.wanted),
            Direction::Over => match Binomial::new(left.wanted as u64, 1.0 / left.rows as f64) {
                Ok(binomial) => binomial.sample(&mut left.rng) as usize,
                // Unreachable: the share is in (0, 1].
                Err(_) => 0,
            },
        };
        left.rows -= 1;
        left.wanted -= drawn;
        drawn + usize::from(self.direction == Direction::Over)
    }
}
