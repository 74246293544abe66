use counterweight_core::ensure;

use super::edited::{Keep, edited, mode};
use super::macros::resampler;
use super::{Resampler, counts, ensure_neighbours, kept, rows_by_class};
use crate::neighbours::nearest;
use crate::strategy::smallest;
use crate::{Plan, Result, Strategy, Table};

resampler! {
    /// The neighbourhood cleaning rule, NCR (Laurikkala 2001): removes what [`EditedNn`](crate::EditedNn) with
    /// [`Keep::Mode`] removes, and around each row of the smallest class that its neighbours
    /// classify wrongly, those of them that are in a large enough class.
    ///
    /// A row never votes for itself; imbalanced-learn's does.
    NeighbourhoodCleaning {
        /// Sets the classes that lose rows; all but the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 3 by default.
        with_k(k: usize = 3),
        /// Sets how large a class must be for the second part, as a multiple of the smallest,
        /// at least 0; 0.5 by default.
        with_threshold(threshold: f64 = 0.5),
    }
}

impl Resampler for NeighbourhoodCleaning {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        const METHOD: &str = "the neighbourhood cleaning rule";
        let ok = self.threshold >= 0.0 && self.threshold.is_finite();
        ensure("threshold", self.threshold, ok, "[0, inf)")?;
        let rows = rows_by_class(x, y)?;
        ensure_neighbours("k", self.k, y.len(), METHOD)?;
        let counts = counts(&rows);
        let classes = self.strategy.classes(&counts, METHOD)?;
        let mut keep = edited(x, y, &rows, &classes, self.k, Keep::Mode);
        let Some(minority) = smallest(&counts) else { return Ok(kept(y, |row| keep[row])) };
        let large = self.threshold * counts[&minority] as f64;
        let all: Vec<usize> = (0..y.len()).collect();
        for near in nearest(x, &rows[&minority], &all, self.k) {
            if mode(near.iter().map(|n| y[n.row])) != Some(minority) {
                for row in near.into_iter().map(|n| n.row) {
                    let class = y[row];
                    if classes.contains(&class) && counts[&class] as f64 > large {
                        keep[row] = false;
                    }
                }
            }
        }
        Ok(kept(y, |row| keep[row]))
    }
}
