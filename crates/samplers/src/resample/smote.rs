use counterweight_core::{derive, ensure, rng};
use ndarray::ArrayView2;
use rand::RngExt;

use super::{Resampler, counts, rows_by_class};
use crate::neighbours::nearest;
use crate::strategy::Direction;
use crate::{Error, Origin, Plan, PlannedRow, Result, Strategy};

/// SMOTE (Chawla et al., JAIR 2002): each synthetic row lies between a minority row and
/// one of its `k` nearest neighbours of the same class,
/// `x_new = x_a + t (x_b − x_a)`, `t ~ U[0, 1)`.
///
/// Like imbalanced-learn's, `a` and `b` are drawn uniformly, distances are Euclidean,
/// and a class must have more than `k` rows. Scale the features first. Not for
/// categorical columns.
#[derive(Debug, Clone)]
pub struct Smote {
    strategy: Strategy,
    k: usize,
    seed: u64,
}

impl Default for Smote {
    fn default() -> Self {
        Self { strategy: Strategy::Auto, k: 5, seed: 0 }
    }
}

impl Smote {
    /// k = 5, every class grows to the largest, seed 0.
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

    /// Sets the number of neighbours, at least 1.
    #[must_use]
    pub fn with_k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

impl Resampler for Smote {
    fn plan(&self, x: ArrayView2<'_, f64>, y: &[usize]) -> Result<Plan> {
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        let rows = rows_by_class(x, y)?;
        let targets = self.strategy.targets(&counts(&rows), Direction::Over, "SMOTE")?;
        let mut planned = Plan::identity(y).into_rows();
        for (&class, members) in &rows {
            let wanted = targets[&class] - members.len();
            if wanted == 0 {
                continue;
            }
            if members.len() <= self.k {
                return Err(Error::TooFew {
                    method: "SMOTE",
                    class,
                    got: members.len(),
                    needed: self.k + 1,
                });
            }
            let neighbours = nearest(x, members, members, self.k);
            let mut rng = rng(derive(self.seed, class as u64));
            planned.extend((0..wanted).map(|_| {
                let base = rng.random_range(0..members.len());
                let b = neighbours[base][rng.random_range(0..self.k)];
                PlannedRow {
                    origin: Origin::Between { a: members[base], b, t: rng.random() },
                    class,
                }
            }));
        }
        Ok(Plan::new(planned))
    }
}
