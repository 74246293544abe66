use counterweight_core::ensure;

use super::macros::resampler;
use super::random::Bases;
use super::{Growth, Resampler, begun, between, ensure_members, growths, rows_by_class};
use crate::neighbours::nearest;
use crate::{Plan, Result, Strategy, Table};

resampler! {
    /// SMOTE (Chawla et al., JAIR 2002): each synthetic row lies between a minority row and
    /// one of its `k` nearest neighbours of the same class,
    /// `x_new = x_a + t (x_b − x_a)`, `t ~ U[0, 1)`.
    ///
    /// Like imbalanced-learn's, `a` and `b` are drawn uniformly, distances are Euclidean,
    /// and a class must have more than `k` rows. Scale the features first. Not for
    /// categorical columns.
    Smote {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Takes as many neighbours as a class has where it has fewer than k (and at least
        /// one); off by default, when such a class is an error.
        with_clamp(clamp: bool = false),
        /// Sets how often each row is a base; as drawn by default.
        with_bases(bases: Bases = Bases::Uniform),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for Smote {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        let rows = rows_by_class(x, y)?;
        let growing = growths(&rows, &self.strategy, self.seed, "SMOTE")?;
        let mut planned = begun(y, &growing);
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            let k = if self.clamp { self.k.min(members.len() - 1).max(1) } else { self.k };
            ensure_members(class, members.len(), k, "SMOTE")?;
            let neighbours = nearest(x, members, members, k);
            for base in self.bases.draw(members.len(), wanted, &mut rng) {
                let near = &neighbours[base];
                planned.push(between(members[base], near, class, &mut rng, |_| 1.0));
            }
        }
        Ok(Plan::new(planned))
    }
}
