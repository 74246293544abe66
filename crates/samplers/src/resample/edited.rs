//! Cleaning by the classes of a row's neighbours.

use std::collections::{BTreeMap, BTreeSet};

use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use super::{Resampler, counts, ensure_neighbours, kept, rows_by_class};
use crate::neighbours::{Neighbour, crowded, nearest};
use crate::strategy::smallest;
use crate::table::Features;
use crate::{Plan, Result, Strategy, Table};

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
    /// let plan = EditedNn::new().with_k(1).plan(&x, &[0, 0, 0, 0, 1, 0, 1])?;
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
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        ensure_neighbours("k", self.k, y.len(), "edited nearest neighbours")?;
        let classes = self.strategy.classes(&counts(&rows), "edited nearest neighbours")?;
        let keep = edited(x, y, &rows, &classes, self.k, self.keep);
        Ok(kept(y, |row| keep[row]))
    }
}

/// Which rows one pass over `rows` keeps; other rows do not vote.
///
/// A row whose class has enough rows nearer than the stranger that would decide against it is
/// settled as soon as those are found, without its true neighbours.
pub(super) fn edited(
    x: &Features<'_>,
    y: &[usize],
    rows: &BTreeMap<usize, Vec<usize>>,
    classes: &BTreeSet<usize>,
    k: usize,
    keep: Keep,
) -> Vec<bool> {
    let mut stays = vec![true; y.len()];
    for class in classes {
        let Some(members) = rows.get(class) else { continue };
        let others = || rows.iter().filter(|(other, _)| *other != class);
        // The strangers among k that outvote the class; with several they would have to agree.
        let against = match keep {
            Keep::All => 1,
            Keep::Mode if rows.len() > 2 => 0,
            Keep::Mode if others().all(|(other, _)| other > class) => k / 2 + 1,
            Keep::Mode => k.div_ceil(2),
        };
        if against == 0 {
            let all: Vec<usize> = rows.values().flatten().copied().collect();
            for (&row, near) in members.iter().zip(nearest(x, members, &all, k)) {
                stays[row] = mode(near.iter().map(|n| y[n.row])) == Some(*class);
            }
            continue;
        }
        let strangers: Vec<usize> = others().flat_map(|(_, rows)| rows).copied().collect();
        let deciding: Vec<Option<Neighbour>> = nearest(x, members, &strangers, against)
            .into_iter()
            .map(|near| near.get(against - 1).copied())
            .collect();
        let settled = crowded(x, members, members, k + 1 - against, &deciding);
        for ((&row, settled), deciding) in members.iter().zip(settled).zip(&deciding) {
            stays[row] = settled || deciding.is_none();
        }
    }
    stays
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
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
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
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure_neighbours("k", self.k, y.len(), "AllKNN")?;
        let pass = |k| EditedNn { strategy: self.strategy.clone(), k, keep: self.keep };
        repeat(x, y, (1..=self.k).map(pass), false, self.allow_minority)
    }
}

/// Applies passes to what the passes before left.
fn repeat(
    x: &Features<'_>,
    y: &[usize],
    passes: impl Iterator<Item = EditedNn>,
    until_stable: bool,
    allow_minority: bool,
) -> Result<Plan> {
    let mut rows = rows_by_class(x, y)?;
    let start = counts(&rows);
    let few = smallest(&start);
    let least = start.values().copied().min().unwrap_or(0);
    for pass in passes {
        let now = counts(&rows);
        let before: usize = now.values().sum();
        if before <= pass.k {
            break;
        }
        let classes = pass.strategy.classes(&now, "edited nearest neighbours")?;
        let stays = edited(x, y, &rows, &classes, pass.k, pass.keep);
        rows.values_mut().for_each(|members| members.retain(|&row| stays[row]));
        rows.retain(|_, members| !members.is_empty());
        let now = counts(&rows);
        let stable = now.values().sum::<usize>() == before;
        let below = now.iter().any(|(&class, &n)| Some(class) != few && n < least);
        let gone = now.len() < start.len();
        if until_stable && stable || below && !allow_minority || gone {
            break;
        }
    }
    let mut keep = vec![false; y.len()];
    rows.into_values().flatten().for_each(|row| keep[row] = true);
    Ok(kept(y, |row| keep[row]))
}
