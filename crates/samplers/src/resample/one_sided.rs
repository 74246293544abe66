use std::collections::BTreeMap;

use ndarray::{ArrayView2, Axis};

use super::condensed::starts;
use super::macros::resampler;
use super::tomek::links;
use super::{Resampler, counts, kept, rows_by_class};
use crate::neighbours::nearest;
use crate::strategy::smallest;
use crate::{Plan, Result, Strategy};

resampler! {
    /// One-sided selection (Kubat and Matwin, ICML 1997): of each cleaned class a random row and
    /// those that it and the smallest class classify wrongly by their nearest neighbour; then
    /// Tomek links among what is left are removed.
    OneSidedSelection {
        /// Sets the classes that lose rows; all but the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the seed of the first row of each class; 0 by default.
        with_seed(seed: u64 = 0),
        /// Names the first rows of classes instead of drawing them.
        with_starts(starts: BTreeMap<usize, usize> = BTreeMap::new()),
    }
}

impl Resampler for OneSidedSelection {
    fn plan(&self, x: ArrayView2<'_, f64>, y: &[usize]) -> Result<Plan> {
        let rows = rows_by_class(x, y)?;
        let counts = counts(&rows);
        let classes = self.strategy.classes(&counts, "one-sided selection")?;
        let minority = smallest(&counts).unwrap_or(0);
        let starts = starts(&rows, self.seed, &self.starts, y)?;
        let mut keep = vec![true; y.len()];
        for class in &classes {
            let (members, start) = (&rows[class], starts[class]);
            let mut pool = if *class == minority { Vec::new() } else { rows[&minority].clone() };
            pool.push(start);
            for (&row, near) in members.iter().zip(nearest(x, members, &pool, 1)) {
                keep[row] = row == start || near.first().is_some_and(|n| y[n.row] != *class);
            }
        }
        let left: Vec<usize> = (0..y.len()).filter(|&row| keep[row]).collect();
        let part = x.select(Axis(0), &left);
        let labels: Vec<usize> = left.iter().map(|&row| y[row]).collect();
        let linked = links(part.view(), &labels, &rows_by_class(part.view(), &labels)?, &classes);
        left.iter().zip(linked).filter(|l| l.1).for_each(|(&row, _)| keep[row] = false);
        Ok(kept(y, |row| keep[row]))
    }
}
