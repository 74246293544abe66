//! Over-sampling of rare target values.

use counterweight_core::{Rng, derive, ensure, ensure_length, rng};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use crate::neighbours::{Neighbour, nearest};
use crate::plan::Details;
use crate::relevance::ensure_targets;
use crate::table::{Features, Store};
use crate::{Error, Origin, Plan, PlannedRow, Relevance, Result};

/// How far the numbers of rare and normal values are evened out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evening {
    /// Every range of values has as many rows: n over the number of ranges.
    #[default]
    Balance,
    /// Ranges change places: what was rarest becomes most frequent.
    Extreme,
}

/// A plan for features and a continuous target together.
///
/// The plan is one for the table whose last column is the target: synthetic targets are made as
/// the features are. The class of a planned row is its range of target values, from the lowest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegressionPlan {
    /// Where each row comes from.
    pub plan: Plan,
}

impl RegressionPlan {
    /// Features and targets.
    ///
    /// # Errors
    /// As [`Plan::apply`].
    pub fn apply(&self, x: ArrayView2<'_, f64>, y: &[f64]) -> Result<(Array2<f64>, Vec<f64>)> {
        let (made, _) = self.plan.apply(&joined(x, y)?)?;
        let last = made.ncols() - 1;
        let target = made.index_axis(Axis(1), last).to_vec();
        Ok((made.slice_axis(Axis(1), (..last).into()).to_owned(), target))
    }
}

/// Features with the target as the last column.
fn joined(x: ArrayView2<'_, f64>, y: &[f64]) -> Result<Array2<f64>> {
    ensure_length("targets", y.len(), x.nrows())?;
    let y = Array1::from_vec(y.to_vec()).insert_axis(Axis(1));
    concatenate(Axis(1), &[x, y.view()])
        .map_err(|_| counterweight_core::Error::Empty { what: "targets" }.into())
}

/// Consecutive values that are all rare or all normal.
struct Range {
    rows: Vec<usize>,
    rare: bool,
    wanted: usize,
}

fn ranges(
    y: &[f64],
    relevance: &Relevance,
    threshold: f64,
    evening: Evening,
) -> Result<Vec<Range>> {
    ensure("threshold", threshold, threshold > 0.0 && threshold <= 1.0, "(0, 1]")?;
    let mut order: Vec<usize> = (0..y.len()).collect();
    order.sort_by(|&a, &b| y[a].total_cmp(&y[b]));
    let mut ranges: Vec<Range> = Vec::new();
    for row in order {
        let rare = relevance.at(y[row]) >= threshold;
        match ranges.last_mut() {
            Some(range) if range.rare == rare => range.rows.push(row),
            _ => ranges.push(Range { rows: vec![row], rare, wanted: 0 }),
        }
    }
    if ranges.len() < 2 {
        return Err(Error::OneRange { rare: ranges.iter().any(|r| r.rare) });
    }
    let even = y.len() as f64 / ranges.len() as f64;
    let inverse: f64 = ranges.iter().map(|r| even * even / r.rows.len() as f64).sum();
    for range in &mut ranges {
        let size = range.rows.len();
        let wanted = match evening {
            Evening::Balance => even,
            Evening::Extreme => even * even / size as f64 * y.len() as f64 / inverse,
        };
        // Rare values are never dropped, normal ones never made.
        let wanted = wanted.round() as usize;
        range.wanted = if range.rare { wanted.max(size) } else { wanted.min(size) };
    }
    Ok(ranges)
}

/// Plans both methods: `make` makes new rows of a rare range from its rows and their neighbours.
fn planned(
    x: ArrayView2<'_, f64>,
    y: &[f64],
    ranges: Vec<Range>,
    (k, seed, method): (usize, u64, &'static str),
    mut make: impl FnMut(&Features<'_>, usize, &[usize], &[Neighbour], &mut Rng) -> Origin,
) -> Result<Vec<PlannedRow>> {
    ensure("k", k as f64, k >= 1, "[1, inf)")?;
    let x = Features(Store::Dense(x.into()));
    let mut class = vec![0; y.len()];
    let mut keep = vec![true; y.len()];
    let mut new = Vec::new();
    for (at, range) in ranges.iter().enumerate() {
        let mut rng = rng(derive(seed, at as u64));
        let size = range.rows.len();
        range.rows.iter().for_each(|&row| class[row] = at);
        if range.wanted < size {
            let mut rows = range.rows.clone();
            rows.shuffle(&mut rng);
            rows[range.wanted..].iter().for_each(|&row| keep[row] = false);
        } else if range.wanted > size {
            if size <= k {
                return Err(Error::TooFew { method, class: at, got: size, needed: k + 1 });
            }
            let near = nearest(&x, &range.rows, &range.rows, k);
            new.extend((size..range.wanted).map(|_| {
                let base = rng.random_range(0..size);
                let origin = make(&x, range.rows[base], &range.rows, &near[base], &mut rng);
                PlannedRow { origin, class: at }
            }));
        }
    }
    let kept = (0..y.len()).filter(|&row| keep[row]);
    let mut planned: Vec<PlannedRow> =
        kept.map(|row| PlannedRow { origin: Origin::Kept(row), class: class[row] }).collect();
    planned.extend(new);
    Ok(planned)
}

fn check(x: ArrayView2<'_, f64>, y: &[f64]) -> Result<()> {
    ensure_length("targets", y.len(), x.nrows())?;
    Features(Store::Dense(x.into())).ensure_finite()?;
    ensure_targets(y)
}

resampler! {
    /// SMOTER (Torgo, Ribeiro, Pfahringer and Branco, EPIA 2013): SMOTE for regression.
    ///
    /// Values are divided into ranges that are all rare (relevance at least the threshold) or all
    /// normal. Rows of normal ranges are dropped at random; in rare ranges rows are made between a
    /// row and one of its k nearest of the same range. Their target lies where their features do,
    /// which is the mean of both targets weighted by inverse distance.
    ///
    /// ```
    /// use counterweight_samplers::{Relevance, Smoter};
    /// use ndarray::Array2;
    ///
    /// let x = Array2::from_shape_fn((100, 2), |(r, c)| ((r * 37 + c * 11) % 53) as f64);
    /// let y: Vec<f64> = (0..100).map(|r| if r % 10 == 0 { 50.0 + r as f64 } else { (r % 7) as f64 }).collect();
    /// let relevance = Relevance::from_points(vec![[3.0, 0.0, 0.0], [40.0, 1.0, 0.0]])?;
    /// let (x2, y2) = Smoter::new().fit_resample(x.view(), &y, &relevance)?;
    /// assert_eq!(y2.iter().filter(|y| **y >= 50.0).count(), 50);
    /// # assert_eq!((x2.nrows(), y2.len()), (100, 100));
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    Smoter {
        /// Sets the relevance from which a value is rare, in (0, 1\]; 0.5 by default.
        with_threshold(threshold: f64 = 0.5),
        /// Sets how far ranges are evened out; all alike by default.
        with_evening(evening: Evening = Evening::Balance),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Smoter {
    /// The plan for features and targets.
    ///
    /// # Errors
    /// [`Error`](enum@Error) for bad parameters, values that are not finite, targets that are all
    /// rare or all normal, and rare ranges of k rows or fewer.
    pub fn plan(
        &self,
        x: ArrayView2<'_, f64>,
        y: &[f64],
        relevance: &Relevance,
    ) -> Result<RegressionPlan> {
        check(x, y)?;
        let ranges = ranges(y, relevance, self.threshold, self.evening)?;
        let rows = planned(x, y, ranges, (self.k, self.seed, "SMOTER"), |_, a, _, near, rng| {
            let b = near[rng.random_range(0..near.len())].row;
            Origin::Between { a, b, t: rng.random() }
        })?;
        Ok(RegressionPlan { plan: Plan::new(rows) })
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn fit_resample(
        &self,
        x: ArrayView2<'_, f64>,
        y: &[f64],
        relevance: &Relevance,
    ) -> Result<(Array2<f64>, Vec<f64>)> {
        self.plan(x, y, relevance)?.apply(x, y)
    }
}

resampler! {
    /// SMOGN (Branco, Torgo and Ribeiro, LIDTA 2017): as [`Smoter`] where the neighbour drawn is
    /// near, normal noise around the row where it is not.
    ///
    /// Near is within half the median distance of the row to the others of its range; the noise
    /// has standard deviation `min(p, that distance) · σ` in each column and in the target, σ over
    /// the range.
    Smogn {
        /// Sets the relevance from which a value is rare, in (0, 1\]; 0.5 by default.
        with_threshold(threshold: f64 = 0.5),
        /// Sets how far ranges are evened out; all alike by default.
        with_evening(evening: Evening = Evening::Balance),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets p, above 0; 0.02 by default.
        with_noise(noise: f64 = 0.02),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Smogn {
    /// The plan for features and targets.
    ///
    /// # Errors
    /// As [`Smoter::plan`].
    pub fn plan(
        &self,
        x: ArrayView2<'_, f64>,
        y: &[f64],
        relevance: &Relevance,
    ) -> Result<RegressionPlan> {
        check(x, y)?;
        ensure("noise", self.noise, self.noise > 0.0 && self.noise.is_finite(), "(0, inf)")?;
        let ranges = ranges(y, relevance, self.threshold, self.evening)?;
        let table = joined(x, y)?;
        let mut scales: Vec<Vec<f64>> = Vec::new();
        // The spread of each range, worked out when it is first needed.
        let mut spread: Option<(usize, Vec<f64>)> = None;
        let settings = (self.k, self.seed, "SMOGN");
        let rows = planned(x, y, ranges, settings, |features, row, rows, near, rng| {
            let mut apart: Vec<f64> = rows
                .iter()
                .filter(|&&other| other != row)
                .map(|&other| features.squared(row, other).sqrt())
                .collect();
            let half = apart.len() / 2;
            let (_, median, _) = apart.select_nth_unstable_by(half, f64::total_cmp);
            let reach = *median / 2.0;
            let chosen = near[rng.random_range(0..near.len())];
            if chosen.squared.sqrt() < reach {
                return Origin::Between { a: row, b: chosen.row, t: rng.random() };
            }
            if spread.as_ref().is_none_or(|(first, _)| *first != rows[0]) {
                let part = table.select(Axis(0), rows);
                spread = Some((rows[0], part.std_axis(Axis(0), 0.0).to_vec()));
            }
            let sigma = spread.iter().flat_map(|(_, sigma)| sigma);
            let scale: Vec<f64> = sigma.map(|s| s * self.noise.min(reach)).collect();
            if scales.last() != Some(&scale) {
                scales.push(scale);
            }
            Origin::Jittered { row, scale: scales.len() - 1, draw: rng.random() }
        })?;
        let plan = Plan::new(rows).with_details(Details { scales, ..Details::default() });
        Ok(RegressionPlan { plan })
    }

    /// Plans and applies.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn fit_resample(
        &self,
        x: ArrayView2<'_, f64>,
        y: &[f64],
        relevance: &Relevance,
    ) -> Result<(Array2<f64>, Vec<f64>)> {
        self.plan(x, y, relevance)?.apply(x, y)
    }
}
