use counterweight_core::ensure;

use super::macros::resampler;
use super::{
    Growth, Resampler, begun, between, ensure_members, ensure_neighbours, growths, rows_by_class,
    strangers,
};
use crate::neighbours::nearest;
use crate::{Error, Plan, Result, Strategy, Table};

resampler! {
    /// ADASYN (He et al., IJCNN 2008): SMOTE that makes more of the rows with more neighbours of
    /// other classes, in proportion to their share among the k nearest.
    ///
    /// The shares are turned into whole numbers by largest remainder, so that exactly as many
    /// rows are made as asked for (imbalanced-learn rounds each and makes a few more or less).
    Adasyn {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for Adasyn {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        const METHOD: &str = "ADASYN";
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        let rows = rows_by_class(x, y)?;
        ensure_neighbours("k", self.k, y.len(), METHOD)?;
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            ensure_members(class, members.len(), self.k, METHOD)?;
            let strangers: Vec<f64> =
                strangers(x, y, members, self.k).into_iter().map(|n| n as f64).collect();
            if strangers.iter().all(|&n| n == 0.0) {
                return Err(Error::NoStrangers { method: METHOD, class });
            }
            let neighbours = nearest(x, members, members, self.k);
            for (base, n) in allot(&strangers, wanted).into_iter().enumerate() {
                let made = |_| between(members[base], &neighbours[base], class, &mut rng, |_| 1.0);
                planned.extend((0..n).map(made));
            }
        }
        Ok(Plan::new(planned))
    }
}

/// Divides `total` in proportion to weights by largest remainder, the first of equals.
pub(super) fn allot(weights: &[f64], total: usize) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    // Whole shares that division leaves one bit below are whole.
    let exact = |w: f64| w * total as f64 / sum;
    let mut shares: Vec<usize> = weights.iter().map(|&w| (exact(w) + 1e-9) as usize).collect();
    let left = total.saturating_sub(shares.iter().sum());
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // Rounded, so that equal remainders are equal.
    let rest = |i: usize| ((exact(weights[i]) - shares[i] as f64) * 1e9).round();
    order.sort_by(|&a, &b| rest(b).total_cmp(&rest(a)));
    order.into_iter().take(left).for_each(|i| shares[i] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_what_was_asked() {
        assert_eq!(allot(&[1.0, 1.0, 1.0], 10), [4, 3, 3]);
        assert_eq!(allot(&[0.0, 2.0, 1.0], 3), [0, 2, 1]);
        for total in 0..50 {
            let shares = allot(&[0.3, 1.7, 0.0, 5.1, 0.3], total);
            assert_eq!(shares.iter().sum::<usize>(), total);
            assert_eq!(shares[2], 0);
        }
    }
}
