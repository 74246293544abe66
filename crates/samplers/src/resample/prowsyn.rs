use counterweight_core::ensure;
use rand::RngExt;

use super::adasyn::allot;
use super::macros::resampler;
use super::{Growth, Resampler, begun, growths, rows_by_class};
use crate::neighbours::nearest;
use crate::{Error, Origin, Plan, PlannedRow, Result, Strategy, Table};

const METHOD: &str = "ProWSyn";

resampler! {
    /// ProWSyn, proximity weighted synthetic over-sampling (Barua, Islam and Murase, PAKDD 2013):
    /// the class is divided into levels by proximity to the other classes, and level i, whose
    /// weight is `exp(−θ (i − 1))`, makes rows between its own.
    ///
    /// Level 1 holds the k nearest rows of the class to each stranger, level 2 those of what is
    /// left, and so on; the last level holds the rest. Weights are turned into whole numbers by
    /// largest remainder. A level of a single row makes copies of it.
    ProWSyn {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the number of levels, at least 1; 5 by default.
        with_levels(levels: usize = 5),
        /// Sets θ, at least 0; 1 by default.
        with_theta(theta: f64 = 1.0),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for ProWSyn {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        ensure("levels", self.levels as f64, self.levels >= 1, "[1, inf)")?;
        let ok = self.theta >= 0.0 && self.theta.is_finite();
        ensure("theta", self.theta, ok, "[0, inf)")?;
        let rows = rows_by_class(x, y)?;
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            let strangers: Vec<usize> = (0..y.len()).filter(|&row| y[row] != class).collect();
            if strangers.is_empty() {
                return Err(Error::NoStrangers { method: METHOD, class });
            }
            let mut left = members.to_vec();
            let mut levels: Vec<Vec<usize>> = Vec::new();
            while levels.len() + 1 < self.levels && !left.is_empty() {
                let mut near: Vec<usize> =
                    nearest(x, &strangers, &left, self.k).iter().flatten().map(|n| n.row).collect();
                near.sort_unstable();
                near.dedup();
                left.retain(|row| near.binary_search(row).is_err());
                levels.push(near);
            }
            if !left.is_empty() {
                levels.push(left);
            }
            let weight = |level: usize| (-self.theta * level as f64).exp();
            let weights: Vec<f64> = (0..levels.len()).map(weight).collect();
            for (level, n) in levels.iter().zip(allot(&weights, wanted)) {
                planned.extend((0..n).map(|_| {
                    let a = level[rng.random_range(0..level.len())];
                    let b = level[rng.random_range(0..level.len())];
                    let origin = Origin::Between { a, b, t: rng.random() };
                    PlannedRow { origin, class }
                }));
            }
        }
        Ok(Plan::new(planned))
    }
}
