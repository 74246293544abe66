use std::collections::BTreeMap;

use counterweight_core::{derive, rng};
use rand::RngExt;

use super::macros::resampler;
use super::{Resampler, counts, kept, rows_by_class};
use crate::neighbours::{Neighbour, crowded, nearest};
use crate::strategy::smallest;
use crate::table::Features;
use crate::{Error, Plan, Result, Strategy, Table};

resampler! {
    /// Condensed nearest neighbour (Hart 1968): of each cleaned class a random row, then in order
    /// every row that the rows kept so far (with the smallest class) classify wrongly by their
    /// nearest neighbour.
    ///
    /// One pass over the rows, as imbalanced-learn's. Of equally near rows the one kept first
    /// counts, which is one of the smallest class.
    ///
    /// ```
    /// use counterweight_samplers::{CondensedNn, Resampler};
    /// use ndarray::array;
    ///
    /// let x = array![[100.0], [101.0], [0.0], [1.0], [2.0], [3.0], [99.0]];
    /// let condensed = CondensedNn::new().with_starts([(0, 4)].into());
    /// let plan = condensed.plan(&x, &[1, 1, 0, 0, 0, 0, 0])?;
    /// assert_eq!(plan.kept(), [0, 1, 4, 6]);
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    CondensedNn {
        /// Sets the classes that lose rows; all but the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the seed of the first row of each class; 0 by default.
        with_seed(seed: u64 = 0),
        /// Names the first rows of classes instead of drawing them.
        with_starts(starts: BTreeMap<usize, usize> = BTreeMap::new()),
    }
}

impl Resampler for CondensedNn {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        let starts = starts(&rows, self.seed, &self.starts, y)?;
        let counts = counts(&rows);
        let classes = self.strategy.classes(&counts, "condensed nearest neighbour")?;
        let minority = smallest(&counts).unwrap_or(0);
        let mut keep = vec![true; y.len()];
        for &class in &classes {
            let members = &rows[&class];
            members.iter().for_each(|&row| keep[row] = false);
            let few = if class == minority { &[] } else { rows[&minority].as_slice() };
            for row in condensed(x, members, few, starts[&class]) {
                keep[row] = true;
            }
        }
        Ok(kept(y, |row| keep[row]))
    }
}

/// The first row of each class, drawn unless it is named.
pub(super) fn starts(
    rows: &BTreeMap<usize, Vec<usize>>,
    seed: u64,
    named: &BTreeMap<usize, usize>,
    y: &[usize],
) -> Result<BTreeMap<usize, usize>> {
    for (&class, &row) in named {
        if y.get(row) != Some(&class) {
            return Err(Error::Start { class, row });
        }
    }
    let start = |(&class, members): (&usize, &Vec<usize>)| {
        let drawn = || rng(derive(seed, class as u64)).random_range(0..members.len());
        (class, named.get(&class).copied().unwrap_or_else(|| members[drawn()]))
    };
    Ok(rows.iter().map(start).collect())
}

/// The rows of a class that are kept.
///
/// The smallest class is all in the store from the start, so that each row's nearest of it is
/// looked up once; then blocks of rows ask whether any row kept before them is nearer.
fn condensed(x: &Features<'_>, members: &[usize], few: &[usize], start: usize) -> Vec<usize> {
    const BLOCK: usize = 512;
    let mut store = vec![start];
    // Row 0 comes first: a row of the class must be nearer, not as near.
    let first = |near: Vec<Neighbour>| near.first().map(|n| Neighbour { row: 0, ..*n });
    let strangers: Vec<_> = nearest(x, members, few, 1).into_iter().map(first).collect();
    for (block, strangers) in members.chunks(BLOCK).zip(strangers.chunks(BLOCK)) {
        let right = crowded(x, block, &store, 1, strangers);
        let mut new: Vec<usize> = Vec::new();
        for ((&row, stranger), right) in block.iter().zip(strangers).zip(right) {
            let nearer = |&own: &usize| {
                stranger.is_none_or(|stranger| x.squared(row, own) < stranger.squared)
            };
            if row != start && !right && !new.iter().any(nearer) {
                new.push(row);
            }
        }
        store.extend(new);
    }
    store
}
