//! Cleaning by the classes of a row's neighbours.

use std::collections::BTreeMap;

use counterweight_core::ensure;
use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use super::{Resampler, counts, ensure_neighbours, kept, rows_by_class};
use crate::neighbours::nearest;
use crate::strategy::smallest;
use crate::{Plan, Result, Strategy};

/// When the neighbours let a row stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// All are of its class.
    #[default]
    All,
    /// Its class is the most frequent among them, the lowest id of equals.
    Mode,
}

resampler! {
    /// Edited nearest neighbours, ENN (Wilson 1972): removes rows whose k nearest neighbours, of
    /// any class, are not all (or not mostly) of their own class.
    ///
    /// ```
    /// use counterweight_samplers::{EditedNn, Resampler};
    /// use ndarray::array;
    ///
    /// let x = array![[0.0], [0.1], [0.2], [4.0], [9.0], [9.1], [9.2]];
    /// // The row at 9.1 of class 0 stands among class 1.
    /// let plan = EditedNn::new().with_k(1).plan(x.view(), &[0, 0, 0, 0, 1, 0, 1])?;
    /// assert_eq!(plan.kept(), [0, 1, 2, 3, 4, 6]);
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    EditedNn {
        /// Sets the classes that lose rows; all but the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 3 by default.
        with_k(k: usize = 3),
        /// Sets when a row stays; [`Keep::All`] by default.
        with_keep(keep: Keep = Keep::All),
    }
}

impl Resampler for EditedNn {
    fn plan(&self, x: ArrayView2<'_, f64>, y: &[usize]) -> Result<Plan> {
        let rows = rows_by_class(x, y)?;
        ensure_neighbours("k", self.k, y.len(), "edited nearest neighbours")?;
        let classes = self.strategy.classes(&counts(&rows), "edited nearest neighbours")?;
        let queries: Vec<usize> = (0..y.len()).filter(|&row| classes.contains(&y[row])).collect();
        let all: Vec<usize> = (0..y.len()).collect();
        let mut keep = vec![true; y.len()];
        for (&row, near) in queries.iter().zip(nearest(x, &queries, &all, self.k)) {
            let labels = near.iter().map(|n| y[n.row]);
            keep[row] = match self.keep {
                Keep::All => labels.into_iter().all(|label| label == y[row]),
                Keep::Mode => mode(labels) == Some(y[row]),
            };
        }
        Ok(kept(y, |row| keep[row]))
    }
}

/// The most frequent label, the lowest of equals.
pub(super) fn mode(labels: impl Iterator<Item = usize>) -> Option<usize> {
    let mut votes: BTreeMap<usize, usize> = BTreeMap::new();
    labels.for_each(|label| *votes.entry(label).or_default() += 1);
    votes
        .into_iter()
        .max_by_key(|&(label, n)| (n, std::cmp::Reverse(label)))
        .map(|(label, _)| label)
}

resampler! {
    /// Repeated ENN (Tomek 1976): [`EditedNn`] until nothing is removed, a class would fall
    /// below the smallest class's count at the start, or a class is gone; the pass that does so
    /// counts, as in imbalanced-learn.
    RepeatedEditedNn {
        /// Sets the classes that lose rows; all but the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 3 by default.
        with_k(k: usize = 3),
        /// Sets when a row stays; [`Keep::All`] by default.
        with_keep(keep: Keep = Keep::All),
        /// Sets the largest number of passes, at least 1; 100 by default.
        with_passes(passes: usize = 100),
    }
}

impl Resampler for RepeatedEditedNn {
    fn plan(&self, x: ArrayView2<'_, f64>, y: &[usize]) -> Result<Plan> {
        ensure("passes", self.passes as f64, self.passes >= 1, "[1, inf)")?;
        ensure_neighbours("k", self.k, y.len(), "repeated edited nearest neighbours")?;
        let pass = |_| EditedNn { strategy: self.strategy.clone(), k: self.k, keep: self.keep };
        repeat(x, y, (0..self.passes).map(pass), true, false)
    }
}

resampler! {
    /// AllKNN (Tomek 1976): [`EditedNn`] with 1, 2, … k neighbours in turn, on what is left;
    /// ends early as [`RepeatedEditedNn`] does, but for a pass that removes nothing.
    AllKnn {
        /// Sets the classes that lose rows; all but the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the largest number of neighbours, at least 1; 3 by default.
        with_k(k: usize = 3),
        /// Sets when a row stays; [`Keep::All`] by default.
        with_keep(keep: Keep = Keep::All),
        /// Lets classes fall below the smallest one; off by default.
        with_allow_minority(allow_minority: bool = false),
    }
}

impl Resampler for AllKnn {
    fn plan(&self, x: ArrayView2<'_, f64>, y: &[usize]) -> Result<Plan> {
        ensure_neighbours("k", self.k, y.len(), "AllKNN")?;
        let pass = |k| EditedNn { strategy: self.strategy.clone(), k, keep: self.keep };
        repeat(x, y, (1..=self.k).map(pass), false, self.allow_minority)
    }
}

/// Applies passes to what the passes before left.
fn repeat(
    x: ArrayView2<'_, f64>,
    y: &[usize],
    passes: impl Iterator<Item = EditedNn>,
    until_stable: bool,
    allow_minority: bool,
) -> Result<Plan> {
    let start = counts(&rows_by_class(x, y)?);
    let few = smallest(&start);
    let least = start.values().copied().min().unwrap_or(0);
    let mut rows: Vec<usize> = (0..y.len()).collect();
    for pass in passes {
        if rows.len() <= pass.k {
            break;
        }
        let (part, labels) = (x.select(Axis(0), &rows), labels(y, &rows));
        let left: Vec<usize> =
            pass.plan(part.view(), &labels)?.kept().into_iter().map(|at| rows[at]).collect();
        let stable = left.len() == rows.len();
        rows = left;
        let mut now: BTreeMap<usize, usize> = BTreeMap::new();
        rows.iter().for_each(|&row| *now.entry(y[row]).or_default() += 1);
        let below = now.iter().any(|(&class, &n)| Some(class) != few && n < least);
        let gone = now.len() < start.len();
        if until_stable && stable || below && !allow_minority || gone {
            break;
        }
    }
    let mut keep = vec![false; y.len()];
    rows.into_iter().for_each(|row| keep[row] = true);
    Ok(kept(y, |row| keep[row]))
}

fn labels(y: &[usize], rows: &[usize]) -> Vec<usize> {
    rows.iter().map(|&row| y[row]).collect()
}
