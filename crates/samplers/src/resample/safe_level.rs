use counterweight_core::ensure;
use rand::RngExt;

use super::macros::resampler;
use super::{
    Growth, Resampler, begun, ensure_members, ensure_neighbours, growths, rows_by_class, strangers,
};
use crate::neighbours::nearest;
use crate::{Origin, Plan, PlannedRow, Result, Strategy, Table};

const METHOD: &str = "Safe-Level-SMOTE";

resampler! {
    /// Safe-Level-SMOTE (Bunkhumpornpat, Sinapiromsaran and Lursinsap, PAKDD 2009): SMOTE that
    /// stays near the safer end. The safe level s of a row is how many of its k nearest
    /// neighbours, of any class, are of its own; with r = s(a) / s(b) a synthetic row lies at
    ///
    /// - t = 0 where s(b) = 0,
    /// - t ~ U\[0, 1/r\] where r ≥ 1,
    /// - t ~ U\[1 − r, 1\] where r < 1,
    ///
    /// and not at all where both levels are 0. A class whose rows all have level 0 stays as it
    /// is and is named in [`Plan::unchanged`](crate::Plan::unchanged).
    SafeLevelSmote {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for SafeLevelSmote {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        let rows = rows_by_class(x, y)?;
        ensure_neighbours("k", self.k, y.len(), METHOD)?;
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        let mut unchanged = Vec::new();
        let mut level = vec![0; y.len()];
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            ensure_members(class, members.len(), self.k, METHOD)?;
            for (&row, strangers) in members.iter().zip(strangers(x, y, members, self.k)) {
                level[row] = self.k - strangers;
            }
            let pairs: Vec<(usize, usize)> = members
                .iter()
                .zip(nearest(x, members, members, self.k))
                .flat_map(|(&a, near)| near.into_iter().map(move |b| (a, b.row)))
                .filter(|&(a, b)| level[a] + level[b] > 0)
                .collect();
            if pairs.is_empty() {
                unchanged.push(class);
                continue;
            }
            planned.extend((0..wanted).map(|_| {
                let (a, b) = pairs[rng.random_range(0..pairs.len())];
                let u: f64 = rng.random();
                let ratio = level[a] as f64 / level[b] as f64;
                let t = match level[b] {
                    0 => 0.0,
                    _ if ratio >= 1.0 => u / ratio,
                    _ => 1.0 - ratio * (1.0 - u),
                };
                PlannedRow { origin: Origin::Between { a, b, t }, class }
            }));
        }
        Ok(Plan::new(planned).with_unchanged(unchanged))
    }
}
