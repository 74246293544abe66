use counterweight_core::{derive, rng};
use ndarray::ArrayView2;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::{Resampler, counts, rows_by_class};
use crate::strategy::Direction;
use crate::{Origin, Plan, PlannedRow, Result, Strategy};

/// Random over-sampling: draws copies of minority rows with replacement.
#[derive(Debug, Clone, Default)]
pub struct RandomOver {
    strategy: Strategy,
    seed: u64,
}

impl RandomOver {
    /// Every class grows to the largest; seed 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the target counts.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Resampler for RandomOver {
    fn plan(&self, x: ArrayView2<'_, f64>, y: &[usize]) -> Result<Plan> {
        let rows = rows_by_class(x, y)?;
        let targets =
            self.strategy.targets(&counts(&rows), Direction::Over, "random over-sampling")?;
        let mut planned = Plan::identity(y).into_rows();
        for (class, members) in &rows {
            let mut rng = rng(derive(self.seed, *class as u64));
            for _ in members.len()..targets[class] {
                planned.push(PlannedRow {
                    origin: Origin::Copy(members[rng.random_range(0..members.len())]),
                    class: *class,
                });
            }
        }
        Ok(Plan::new(planned))
    }
}

/// Random under-sampling: keeps a random part of each class, without replacement.
#[derive(Debug, Clone, Default)]
pub struct RandomUnder {
    strategy: Strategy,
    seed: u64,
}

impl RandomUnder {
    /// Every class shrinks to the smallest; seed 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the target counts.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Resampler for RandomUnder {
    fn plan(&self, x: ArrayView2<'_, f64>, y: &[usize]) -> Result<Plan> {
        let rows = rows_by_class(x, y)?;
        let targets =
            self.strategy.targets(&counts(&rows), Direction::Under, "random under-sampling")?;
        let mut kept = Vec::new();
        for (class, mut members) in rows {
            members.shuffle(&mut rng(derive(self.seed, class as u64)));
            members.truncate(targets[&class]);
            kept.extend(members);
        }
        kept.sort_unstable();
        let row = |row| PlannedRow { origin: Origin::Kept(row), class: y[row] };
        Ok(Plan::new(kept.into_iter().map(row).collect()))
    }
}
