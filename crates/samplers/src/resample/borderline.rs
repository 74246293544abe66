use counterweight_core::ensure;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use super::{
    Growth, Resampler, begun, between, ensure_members, ensure_neighbours, growths, rows_by_class,
    strangers,
};
use crate::neighbours::nearest;
use crate::table::Features;
use crate::{Plan, Result, Strategy, Table};

/// Towards which neighbours [`BorderlineSmote`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BorderlineVersion {
    /// Those of the class.
    #[default]
    One,
    /// Those of any class; towards another class at most half the way.
    Two,
}

resampler! {
    /// Borderline-SMOTE (Han et al. 2005): SMOTE from the rows in danger only, those with at
    /// least half but not all of their m nearest neighbours in other classes.
    ///
    /// A class without rows in danger stays as it is and is named in
    /// [`Plan::unchanged`](crate::Plan::unchanged).
    BorderlineSmote {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the version; 1 by default.
        with_version(version: BorderlineVersion = BorderlineVersion::One),
        /// Sets the neighbours to go towards, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the neighbours that tell danger, at least 1; 10 by default.
        with_m(m: usize = 10),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl BorderlineSmote {
    /// The rows of a class that are in danger.
    ///
    /// # Errors
    /// As [`plan`](Resampler::plan).
    ///
    /// ```
    /// use counterweight_samplers::BorderlineSmote;
    /// use ndarray::Array2;
    ///
    /// let x = Array2::from_shape_fn((10, 1), |(row, _)| row as f64);
    /// let y = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0];
    /// assert_eq!(BorderlineSmote::new().with_m(4).danger(&x, &y, 1)?, [3]);
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    pub fn danger(&self, x: &dyn Table, y: &[usize], class: usize) -> Result<Vec<usize>> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        ensure_neighbours("m", self.m, y.len(), METHOD)?;
        Ok(rows.get(&class).map_or(Vec::new(), |members| self.in_danger(x, y, members)))
    }

    /// The same of checked data: `members` are the rows of one class.
    fn in_danger(&self, x: &Features<'_>, y: &[usize], members: &[usize]) -> Vec<usize> {
        let in_danger = |(&row, strangers): (&usize, usize)| {
            (2 * strangers >= self.m && strangers < self.m).then_some(row)
        };
        members.iter().zip(strangers(x, y, members, self.m)).filter_map(in_danger).collect()
    }
}

const METHOD: &str = "Borderline-SMOTE";

impl Resampler for BorderlineSmote {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        let rows = rows_by_class(x, y)?;
        ensure_neighbours("m", self.m, y.len(), METHOD)?;
        let all: Vec<usize> = (0..y.len()).collect();
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        let mut unchanged = Vec::new();
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            let pool = match self.version {
                BorderlineVersion::One => {
                    ensure_members(class, members.len(), self.k, METHOD)?;
                    members
                }
                BorderlineVersion::Two => {
                    ensure_neighbours("k", self.k, y.len(), METHOD)?;
                    &all
                }
            };
            let danger = self.in_danger(x, y, members);
            if danger.is_empty() {
                unchanged.push(class);
                continue;
            }
            let neighbours = nearest(x, &danger, pool, self.k);
            planned.extend((0..wanted).map(|_| {
                let base = rng.random_range(0..danger.len());
                let reach = |b: usize| if y[b] == class { 1.0 } else { 0.5 };
                between(danger[base], &neighbours[base], class, &mut rng, reach)
            }));
        }
        Ok(Plan::new(planned).with_unchanged(unchanged))
    }
}
