use std::collections::BTreeMap;
use std::path::Path;

use counterweight_core::{ensure, rng};
use faer::{Mat, Side};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::codec::{Level, Range, levels};
use super::store::Stored;
use super::{Generator, Training};
use crate::macros::config;
use crate::{Column, Error, Result};

config! {
    /// The Gaussian copula (Nelsen 2006; Patki et al., DSAA 2016), per class: every column keeps
    /// its empirical distribution, and normal scores of the columns have the correlations of
    /// those of the real rows.
    ///
    /// Correlations are drawn towards 0 by the shrinkage of Schäfer and Strimmer (2005), without
    /// which a class with fewer rows than columns would have no positive definite matrix. A
    /// number is interpolated between the sorted real ones, so that it never leaves their range;
    /// a class of one row gives copies of it. Missing values are drawn as often as they were.
    Copula {
        /// Least shrinkage, in `[0, 1]`: 1 takes columns as independent. Default: 1e-6.
        with_shrinkage(shrinkage: f64 = 1e-6),
    }
}

impl Copula {
    /// Checks the parameters' ranges.
    ///
    /// # Errors
    /// Naming the parameter, its value and the range.
    pub fn check(&self) -> Result<()> {
        let ok = (0.0..=1.0).contains(&self.shrinkage);
        Ok(ensure("shrinkage", self.shrinkage, ok, "[0, 1]")?)
    }

    /// Learns every class.
    ///
    /// # Errors
    /// For a shrinkage out of range.
    pub fn fit(&self, training: Training<'_>) -> Result<CopulaModel> {
        self.check()?;
        let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, &class) in training.labels.iter().enumerate() {
            rows.entry(class).or_default().push(row);
        }
        let columns = training.columns;
        let learn = |(class, rows): (usize, Vec<usize>)| {
            let own = training.x.select(Axis(0), &rows);
            Ok((class, ClassCopula::fit(own.view(), columns, self.shrinkage)?))
        };
        Ok(CopulaModel { classes: rows.into_iter().map(learn).collect::<Result<_>>()? })
    }
}

/// A fitted [`Copula`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopulaModel {
    classes: BTreeMap<usize, ClassCopula>,
}

/// One class: a marginal per column, and the Cholesky factor of their scores' correlations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ClassCopula {
    marginals: Vec<Marginal>,
    /// Lower triangle by rows.
    factor: Vec<Vec<f64>>,
}

/// The distribution of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Marginal {
    /// Sorted real numbers, and the share of missing ones.
    Numbers { sorted: Vec<f64>, range: Range, missing: f64 },
    /// Categories and their counts.
    Levels(Vec<Level>),
}

/// The normal score of a probability.
fn score(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

impl ClassCopula {
    fn fit(x: ArrayView2<'_, f64>, columns: &[Column], shrinkage: f64) -> Result<Self> {
        let fitted = x.columns().into_iter().zip(columns);
        let marginals: Vec<_> = fitted.map(|(x, &c)| Marginal::fit(x, c)).collect();
        let scored = x.columns().into_iter().zip(&marginals);
        let scores: Vec<Vec<f64>> =
            scored.map(|(x, m)| standardised(x.iter().map(|&v| m.score(v)).collect())).collect();
        let factor = cholesky(&scores, shrinkage)?;
        Ok(Self { marginals, factor })
    }
}

/// Zero mean and unit variance; a constant stays 0.
fn standardised(mut scores: Vec<f64>) -> Vec<f64> {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    scores.iter_mut().for_each(|s| *s -= mean);
    let deviation = (scores.iter().map(|s| s * s).sum::<f64>() / n).sqrt();
    if deviation > 1e-12 {
        scores.iter_mut().for_each(|s| *s /= deviation);
    }
    scores
}

/// The factor of the shrunk correlation matrix of standardised columns.
fn cholesky(scores: &[Vec<f64>], least: f64) -> Result<Vec<Vec<f64>>> {
    let width = scores.len();
    let n = scores.first().map_or(0, Vec::len) as f64;
    let (mut uncertain, mut squares) = (0.0, 0.0);
    let mut correlations = Mat::<f64>::identity(width, width);
    for a in 0..width {
        for b in 0..a {
            let products: Vec<f64> = scores[a].iter().zip(&scores[b]).map(|(a, b)| a * b).collect();
            let r = products.iter().sum::<f64>() / n;
            let spread = products.iter().map(|p| (p - r).powi(2)).sum::<f64>();
            uncertain += n / (n - 1.0).max(1.0).powi(3) * spread;
            squares += r * r;
            correlations[(a, b)] = r;
        }
    }
    let shrunk = if squares > 0.0 { uncertain / squares } else { 1.0 };
    // A whisker more than 0, for columns that are copies of one another.
    let keep = 1.0 - shrunk.clamp(least.max(1e-9), 1.0);
    for a in 0..width {
        for b in 0..a {
            correlations[(a, b)] *= keep;
            correlations[(b, a)] = correlations[(a, b)];
        }
    }
    let factor = correlations.llt(Side::Lower).map_err(|e| Error::External {
        step: "Cholesky factor of the correlations",
        reason: format!("{e:?}"),
    })?;
    let lower = factor.L();
    Ok((0..width).map(|a| (0..=a).map(|b| lower[(a, b)]).collect()).collect())
}

impl Marginal {
    fn fit(values: ArrayView1<'_, f64>, column: Column) -> Self {
        if column == Column::Category {
            return Self::Levels(levels(values));
        }
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let missing = 1.0 - sorted.len() as f64 / values.len() as f64;
        let range = Range::of(&sorted, column);
        if sorted.is_empty() {
            return Self::Levels(levels(values));
        }
        Self::Numbers { sorted, range, missing }
    }

    /// The normal score of a value: of its middle rank, or of the middle of its category's share.
    fn score(&self, value: f64) -> f64 {
        match self {
            Self::Numbers { .. } if value.is_nan() => 0.0,
            Self::Numbers { sorted, .. } => {
                let below = sorted.partition_point(|v| *v < value);
                let up_to = sorted.partition_point(|v| *v <= value);
                score((below + up_to + 1) as f64 / (2 * sorted.len() + 2) as f64)
            }
            Self::Levels(levels) => {
                let total: usize = levels.iter().map(|l| l.count).sum();
                let mut before = 0;
                for level in levels {
                    if level.value == value || (level.value.is_nan() && value.is_nan()) {
                        return score((2 * before + level.count) as f64 / (2 * total) as f64);
                    }
                    before += level.count;
                }
                0.0
            }
        }
    }

    /// The value at a score.
    fn value(&self, score: f64, rng: &mut counterweight_core::Rng) -> f64 {
        let probability = Normal::standard().cdf(score);
        match self {
            Self::Numbers { sorted, range, missing } => {
                if *missing > 0.0 && rng.random::<f64>() < *missing {
                    return f64::NAN;
                }
                let last = sorted.len() - 1;
                let at = (probability * (sorted.len() + 1) as f64 - 1.0).clamp(0.0, last as f64);
                let below = at.floor() as usize;
                let share = at - at.floor();
                let (a, b) = (sorted[below], sorted[(below + 1).min(last)]);
                range.apply(a * (1.0 - share) + b * share)
            }
            Self::Levels(levels) => {
                let total: usize = levels.iter().map(|l| l.count).sum();
                let mut left = probability * total as f64;
                let found = levels.iter().find(|level| {
                    left -= level.count as f64;
                    left < 0.0
                });
                found.or(levels.last()).map_or(f64::NAN, |level| level.value)
            }
        }
    }
}

impl CopulaModel {
    /// Reads a model that [`save`](Generator::save) wrote.
    ///
    /// # Errors
    /// When the file is missing, cut or holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (model, tensors): (Self, _) = Stored::read(path, "copula", &Default::default())?;
        Stored::expect(path, &tensors, &[])?;
        let whole = |c: &ClassCopula| {
            c.factor.len() == c.marginals.len()
                && c.factor.iter().enumerate().all(|(i, row)| row.len() == i + 1)
                && c.marginals.iter().all(|m| match m {
                    Marginal::Numbers { sorted, range, .. } => {
                        !sorted.is_empty() && range.low <= range.high
                    }
                    Marginal::Levels(levels) => !levels.is_empty(),
                })
        };
        if model.classes.values().all(whole) {
            return Ok(model);
        }
        Err(Stored::broken(path))
    }
}

impl Generator for CopulaModel {
    fn sample(&self, class: usize, rows: usize, seed: u64) -> Result<Array2<f64>> {
        let known = || self.classes.keys().copied().collect();
        let own = self.classes.get(&class).ok_or_else(|| Error::Class { class, known: known() })?;
        let mut rng = rng(seed);
        let width = own.marginals.len();
        let mut out = Array2::zeros((rows, width));
        let mut drawn = vec![0.0; width];
        for mut row in out.rows_mut() {
            drawn.fill_with(|| Distribution::<f64>::sample(&StandardNormal, &mut rng));
            for ((to, marginal), factor) in row.iter_mut().zip(&own.marginals).zip(&own.factor) {
                let score = factor.iter().zip(&drawn).map(|(f, d)| f * d).sum();
                *to = marginal.value(score, &mut rng);
            }
        }
        Ok(out)
    }

    fn save(&self, path: &Path) -> Result<()> {
        Stored::write(path, "copula", self, &[])
    }
}
