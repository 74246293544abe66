use std::collections::{BTreeMap, BTreeSet};

use super::macros::resampler;
use super::{Resampler, counts, kept, rows_by_class};
use crate::neighbours::nearest;
use crate::table::Features;
use crate::{Plan, Result, Strategy, Table};

resampler! {
    /// Removes Tomek links (Tomek 1976): pairs of rows of different classes that are each
    /// other's nearest neighbour; of each pair the rows of the cleaned classes go.
    ///
    /// A row is never its own neighbour, by its place in the data and not by its distance, so
    /// exact duplicates of different classes are links (imbalanced-learn, which drops the first
    /// neighbour whatever it is, may miss them). Of equally near rows the first counts.
    ///
    /// ```
    /// use counterweight_samplers::{Resampler, Strategy, TomekLinks};
    /// use ndarray::array;
    ///
    /// let x = array![[0.0], [0.1], [5.0], [5.3], [9.0], [9.1]];
    /// let only_0 = Strategy::Counts([(0, 0)].into());
    /// let plan = TomekLinks::new().with_strategy(only_0).plan(&x, &[0, 1, 0, 0, 1, 1])?;
    /// assert_eq!(plan.kept(), [1, 2, 3, 4, 5]);
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    TomekLinks {
        /// Sets the classes that lose rows; all but the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
    }
}

impl Resampler for TomekLinks {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        let classes = self.strategy.classes(&counts(&rows), "Tomek links")?;
        let linked = links(x, y, &rows, &classes);
        Ok(kept(y, |row| !linked[row]))
    }
}

/// Which rows of `classes` are in a link among `rows`.
///
/// A link has an end outside the largest class, so only the other classes' rows and what is
/// nearest to them are looked up.
pub(super) fn links(
    x: &Features<'_>,
    y: &[usize],
    rows: &BTreeMap<usize, Vec<usize>>,
    classes: &BTreeSet<usize>,
) -> Vec<bool> {
    let mut linked = vec![false; y.len()];
    let Some((largest, _)) = rows.iter().max_by_key(|(_, members)| members.len()) else {
        return linked;
    };
    let mut all: Vec<usize> = rows.values().flatten().copied().collect();
    all.sort_unstable();
    let ends: Vec<usize> = all.iter().copied().filter(|&row| y[row] != *largest).collect();
    let mut first = vec![None; y.len()];
    let look_up = |queries: &[usize], first: &mut Vec<Option<usize>>| {
        let found = nearest(x, queries, &all, 1);
        for (&query, near) in queries.iter().zip(found) {
            first[query] = near.first().map(|n| n.row);
        }
    };
    look_up(&ends, &mut first);
    let strangers: BTreeSet<usize> =
        ends.iter().filter_map(|&row| first[row].filter(|&near| y[near] == *largest)).collect();
    look_up(&strangers.into_iter().collect::<Vec<_>>(), &mut first);
    for row in ends {
        if let Some(near) = first[row]
            && y[near] != y[row]
            && first[near] == Some(row)
        {
            for end in [row, near] {
                linked[end] |= classes.contains(&y[end]);
            }
        }
    }
    linked
}
