use std::collections::BTreeMap;

use counterweight_core::{derive, rng};
use rand::RngExt;
use rayon::prelude::*;

use super::macros::resampler;
use super::{Resampler, counts, kept, rows_by_class};
use crate::strategy::smallest;
use crate::table::Features;
use crate::{Error, Plan, Result, Strategy, Table};

resampler! {
    /// Condensed nearest neighbour (Hart 1968): of each cleaned class a random row, then in order
    /// every row that the rows kept so far (with the smallest class) classify wrongly by their
    /// nearest neighbour.
    ///
    /// One pass over the rows, as imbalanced-learn's; the distance of every row to the nearest
    /// row kept is carried along, so that a row costs one comparison per row kept. Of equally
    /// near rows the one kept first counts.
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
        let x = &x.features();
        let rows = rows_by_class(x, y)?;
        let starts = starts(&rows, self.seed, &self.starts, y)?;
        let counts = counts(&rows);
        let classes = self.strategy.classes(&counts, "condensed nearest neighbour")?;
        let minority = smallest(&counts).unwrap_or(0);
        let mut keep = vec![true; y.len()];
        for &class in &classes {
            let members = &rows[&class];
            members.iter().for_each(|&row| keep[row] = false);
            let mut store = Store::new(x, members);
            rows[&minority]
                .iter()
                .filter(|_| class != minority)
                .for_each(|&row| store.add(row, false));
            store.add(starts[&class], true);
            keep[starts[&class]] = true;
            for (at, &row) in members.iter().enumerate() {
                if !store.right(at) && row != starts[&class] {
                    store.add(row, true);
                    keep[row] = true;
                }
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

/// For each row of a class the nearest row kept, and whether it is of the class.
struct Store<'a> {
    x: &'a Features<'a>,
    rows: &'a [usize],
    nearest: Vec<(f64, bool)>,
}

impl<'a> Store<'a> {
    fn new(x: &'a Features<'a>, rows: &'a [usize]) -> Self {
        Self { x, rows, nearest: vec![(f64::INFINITY, false); rows.len()] }
    }

    fn add(&mut self, kept: usize, own: bool) {
        self.nearest.par_iter_mut().zip(self.rows).with_min_len(1024).for_each(|(near, &row)| {
            if let Some(squared) = self.x.squared_below(row, kept, near.0) {
                *near = (squared, own);
            }
        });
    }

    fn right(&self, at: usize) -> bool {
        self.nearest[at].1
    }
}
