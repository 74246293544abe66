use counterweight_core::{derive, rng};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use super::{Resampler, counts, grouped, kept};
use crate::strategy::Direction;
use crate::{Origin, Plan, PlannedRow, Result, Strategy, Table};

/// How often each row of a class is the base of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bases {
    /// As drawn with replacement (imbalanced-learn).
    #[default]
    Uniform,
    /// Alike: the numbers of any two rows differ by at most one.
    Balanced,
}

impl Bases {
    /// Places below `n` for `wanted` new rows.
    pub(super) fn draw(
        self,
        n: usize,
        wanted: usize,
        rng: &mut counterweight_core::Rng,
    ) -> Vec<usize> {
        match self {
            Self::Uniform => (0..wanted).map(|_| rng.random_range(0..n)).collect(),
            Self::Balanced => {
                let mut last: Vec<usize> = (0..n).collect();
                last.shuffle(rng);
                let (rounds, rest) = (wanted / n, wanted % n);
                let all = (0..rounds).flat_map(|_| 0..n);
                all.chain(last.into_iter().take(rest)).collect()
            }
        }
    }
}

resampler! {
    /// Random over-sampling: draws copies of minority rows with replacement. Features may be
    /// anything, NaN included.
    RandomOver {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets how often each row is copied; as drawn by default.
        with_bases(bases: Bases = Bases::Uniform),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for RandomOver {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features();
        let rows = grouped(x, y)?;
        let targets =
            self.strategy.targets(&counts(&rows), Direction::Over, "random over-sampling")?;
        let mut planned = Plan::identity(y).into_rows();
        for (&class, members) in &rows {
            let mut rng = rng(derive(self.seed, class as u64));
            let bases = self.bases.draw(members.len(), targets[&class] - members.len(), &mut rng);
            planned.extend(
                bases.into_iter().map(|at| PlannedRow { origin: Origin::Copy(members[at]), class }),
            );
        }
        Ok(Plan::new(planned))
    }
}

resampler! {
    /// Random under-sampling: keeps a random part of each class, without replacement. Features
    /// may be anything, NaN included.
    RandomUnder {
        /// Sets the final counts; every class shrinks to the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for RandomUnder {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features();
        let rows = grouped(x, y)?;
        let targets =
            self.strategy.targets(&counts(&rows), Direction::Under, "random under-sampling")?;
        let mut keep = vec![false; y.len()];
        for (class, mut members) in rows {
            members.shuffle(&mut rng(derive(self.seed, class as u64)));
            members.into_iter().take(targets[&class]).for_each(|row| keep[row] = true);
        }
        Ok(kept(y, |row| keep[row]))
    }
}
