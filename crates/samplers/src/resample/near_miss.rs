use std::collections::BTreeSet;

use counterweight_core::ensure;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use super::{Resampler, counts, ensure_members, kept, rows_by_class};
use crate::neighbours::{Neighbour, farthest, nearest};
use crate::strategy::{Direction, smallest};
use crate::{Plan, Result, Strategy, Table};

/// Which rows of a class [`NearMiss`] keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NearMissVersion {
    /// Those with the smallest mean distance to their k nearest rows of the smallest class.
    #[default]
    One,
    /// Those with the smallest mean distance to their k farthest rows of it.
    Two,
    /// Of the `candidates` nearest to each row of the smallest class, those with the *largest*
    /// mean distance to their k nearest rows of it. May keep fewer than asked for.
    Three,
}

resampler! {
    /// NearMiss (Mani and Zhang 2003): under-sampling by distance to the smallest class. Of
    /// equal distances the first rows are kept.
    NearMiss {
        /// Sets the final counts; every class shrinks to the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the version; 1 by default.
        with_version(version: NearMissVersion = NearMissVersion::One),
        /// Sets the number of neighbours, at least 1; 3 by default.
        with_k(k: usize = 3),
        /// Sets how many rows around each row of the smallest class version 3 looks at, at
        /// least 1; 3 by default.
        with_candidates(candidates: usize = 3),
    }
}

impl Resampler for NearMiss {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        ensure("candidates", self.candidates as f64, self.candidates >= 1, "[1, inf)")?;
        let rows = rows_by_class(x, y)?;
        let counts = counts(&rows);
        let targets = self.strategy.targets(&counts, Direction::Under, "NearMiss")?;
        let minority = smallest(&counts).unwrap_or(0);
        ensure_members(minority, counts[&minority], self.k - 1, "NearMiss")?;
        let few = &rows[&minority];
        let mut keep = vec![true; y.len()];
        for (class, members) in &rows {
            if targets[class] == members.len() {
                continue;
            }
            let (pool, sign) = match self.version {
                NearMissVersion::Three => {
                    let near = nearest(x, few, members, self.candidates);
                    let rows: BTreeSet<usize> = near.iter().flatten().map(|n| n.row).collect();
                    (rows.into_iter().collect(), -1.0)
                }
                _ => (members.clone(), 1.0),
            };
            let found = match self.version {
                NearMissVersion::Two => farthest(x, &pool, few, self.k),
                _ => nearest(x, &pool, few, self.k),
            };
            let sum = |found: Vec<Neighbour>| found.iter().map(|n| n.squared.sqrt()).sum::<f64>();
            let mut order: Vec<(f64, usize)> =
                found.into_par_iter().map(|found| sign * sum(found)).zip(pool).collect();
            let wanted = targets[class].min(order.len());
            if wanted < order.len() {
                order
                    .select_nth_unstable_by(wanted, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            }
            members.iter().for_each(|&row| keep[row] = false);
            order[..wanted].iter().for_each(|o| keep[o.1] = true);
        }
        Ok(kept(y, |row| keep[row]))
    }
}
