use std::collections::BTreeMap;

use counterweight_core::{derive, ensure, rng};
use ndarray::{ArrayView2, Axis};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use super::{Growth, Resampler, begun, counts, grouped, growths, kept, rows_by_class};
use crate::plan::Details;
use crate::strategy::Direction;
use crate::{Error, Origin, Plan, PlannedRow, Result, Strategy, Table};

/// How often each row of a class is the base of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bases {
    /// As drawn with replacement (imbalanced-learn).
    #[default]
    Uniform,
    /// Alike: the numbers of any two rows differ by at most one.
    Balanced,
}

impl Bases {
    /// Places below `n` for `wanted` new rows.
    pub(super) fn draw(
        self,
        n: usize,
        wanted: usize,
        rng: &mut counterweight_core::Rng,
    ) -> Vec<usize> {
        match self {
            Self::Uniform => (0..wanted).map(|_| rng.random_range(0..n)).collect(),
            Self::Balanced => {
                let mut last: Vec<usize> = (0..n).collect();
                last.shuffle(rng);
                let (rounds, rest) = (wanted / n, wanted % n);
                let all = (0..rounds).flat_map(|_| 0..n);
                all.chain(last.into_iter().take(rest)).collect()
            }
        }
    }
}

/// How far a copy stands from its row: the smoothed bootstrap.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shrinkage {
    /// Exact copies.
    #[default]
    None,
    /// One factor for every class, at least 0.
    All(f64),
    /// A factor for each class that grows.
    Classes(BTreeMap<usize, f64>),
}

impl Shrinkage {
    fn of(&self, class: usize) -> Result<f64> {
        let factor = match self {
            Self::None => 0.0,
            Self::All(factor) => *factor,
            Self::Classes(factors) => *factors.get(&class).ok_or(Error::NoShrinkage { class })?,
        };
        ensure("shrinkage", factor, factor >= 0.0 && factor.is_finite(), "[0, inf)")?;
        Ok(factor)
    }
}

resampler! {
    /// Random over-sampling: draws copies of minority rows with replacement. Features may be
    /// anything, NaN included.
    ///
    /// With a shrinkage s it is the smoothed bootstrap of ROSE (Menardi and Torelli 2014): copies
    /// are moved by normal noise whose standard deviation in column c is
    /// `s · (4 / ((d + 2) n))^(1 / (d + 4)) · σ_c`, with n rows in all, d columns and σ of the class;
    /// features must then be finite and dense.
    RandomOver {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the noise of copies; none by default.
        with_shrinkage(shrinkage: Shrinkage = Shrinkage::None),
        /// Sets how often each row is copied; as drawn by default.
        with_bases(bases: Bases = Bases::Uniform),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for RandomOver {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        const METHOD: &str = "random over-sampling";
        let x = &x.features()?;
        let smooth = self.shrinkage != Shrinkage::None;
        let rows = if smooth { rows_by_class(x, y)? } else { grouped(x, y)? };
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        let mut scales = Vec::new();
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            let bases = self.bases.draw(members.len(), wanted, &mut rng);
            if smooth {
                let factor = self.shrinkage.of(class)?;
                scales.push(bandwidths(x.dense("the smoothed bootstrap")?, members, factor));
            }
            planned.extend(bases.into_iter().map(|at| {
                let row = members[at];
                let origin = if smooth {
                    Origin::Jittered { row, scale: scales.len() - 1, draw: rng.random() }
                } else {
                    Origin::Copy(row)
                };
                PlannedRow { origin, class }
            }));
        }
        Ok(Plan::new(planned).with_details(Details { scales, ..Details::default() }))
    }
}

/// The standard deviation of the noise in each column.
fn bandwidths(x: ArrayView2<'_, f64>, members: &[usize], factor: f64) -> Vec<f64> {
    let (n, d) = (x.nrows() as f64, x.ncols() as f64);
    let silverman = (4.0 / ((d + 2.0) * n)).powf(1.0 / (d + 4.0));
    let m = members.len() as f64;
    let (mut mean, mut squares) = (vec![0.0; x.ncols()], vec![0.0; x.ncols()]);
    for &row in members {
        mean.iter_mut().zip(x.index_axis(Axis(0), row)).for_each(|(mean, v)| *mean += v / m);
    }
    for &row in members {
        let gaps = x.index_axis(Axis(0), row).into_iter().zip(&mean).map(|(v, mean)| v - mean);
        squares.iter_mut().zip(gaps).for_each(|(sum, gap)| *sum += gap * gap);
    }
    squares.into_iter().map(|sum: f64| factor * silverman * (sum / m).sqrt()).collect()
}

resampler! {
    /// Random under-sampling: keeps a random part of each class, without replacement. Features
    /// may be anything, NaN included.
    RandomUnder {
        /// Sets the final counts; every class shrinks to the smallest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for RandomUnder {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        let rows = grouped(x, y)?;
        let targets =
            self.strategy.targets(&counts(&rows), Direction::Under, "random under-sampling")?;
        let mut keep = vec![false; y.len()];
        for (class, mut members) in rows {
            members.shuffle(&mut rng(derive(self.seed, class as u64)));
            members.into_iter().take(targets[&class]).for_each(|row| keep[row] = true);
        }
        Ok(kept(y, |row| keep[row]))
    }
}
