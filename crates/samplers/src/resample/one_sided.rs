use std::collections::BTreeMap;

use super::condensed::starts;
use super::macros::resampler;
use super::tomek::links;
use super::{Resampler, counts, kept, rows_by_class};
use crate::neighbours::nearest;
use crate::strategy::smallest;
use crate::{Plan, Result, Strategy, Table};

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
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
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
        let mut left = rows;
        left.values_mut().for_each(|members| members.retain(|&row| keep[row]));
        let linked = links(x, y, &left, &classes);
        Ok(kept(y, |row| keep[row] && !linked[row]))
    }
}
