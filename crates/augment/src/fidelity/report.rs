use std::fmt;

use counterweight_core::{derive, ensure, rng};
use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::index::sample;
use serde::{Deserialize, Serialize};

use super::columns::{column_distance, pair_distance};
use super::nearest::NearestRecords;
use super::space::Space;
use super::two_sample::{TestResult, classifier, mmd};
use crate::macros::config;
use crate::{Column, Result};

config! {
    /// Compares synthetic rows with real ones: column by column, pair by pair, as a whole, and
    /// whether they give real rows away.
    ///
    /// ```
    /// use counterweight_augment::{Column, Fidelity};
    /// use ndarray::Array2;
    ///
    /// let real = Array2::from_shape_fn((80, 2), |(r, c)| ((r * 37 + c * 11) % 53) as f64);
    /// let same = Array2::from_shape_fn((80, 2), |(r, c)| ((r * 23 + c * 11 + 5) % 53) as f64);
    /// let columns = [Column::Integer; 2];
    /// let report = Fidelity::new().check(real.view(), same.view(), &columns)?;
    /// assert!(report.quality() > 0.8);
    /// let far = Fidelity::new().check(real.view(), (&same + 100.0).view(), &columns)?;
    /// assert!(far.mmd.p_value < 0.01 && far.columns[0] == 1.0);
    /// println!("{far}");
    /// # Ok::<(), counterweight_augment::Error>(())
    /// ```
    Fidelity {
        /// Rows of either table that the tests and distances look at, drawn at random where
        /// there are more; at least 2. Default: 1000.
        with_max_rows(max_rows: usize = 1000),
        /// Permutations behind the p-value of the discrepancy, at least 1. Default: 200.
        with_permutations(permutations: usize = 200),
        /// Seed. Default: 0.
        with_seed(seed: u64 = 0),
    }
}

/// What [`Fidelity::check`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FidelityReport {
    /// Of each column the Kolmogorov-Smirnov statistic, for categories the total variation
    /// distance; in `[0, 1]`, 0 is best.
    pub columns: Vec<f64>,
    /// Of each pair of columns how differently they go together.
    pub pairs: Vec<PairDifference>,
    /// The squared maximum mean discrepancy with a Gaussian kernel and its permutation p-value.
    pub mmd: TestResult,
    /// The accuracy of a classifier that tells synthetic rows from real ones, ½ at best, and its
    /// p-value.
    pub two_sample: TestResult,
    /// Distances to the closest real records.
    pub nearest: NearestRecords,
}

/// How differently two columns go together in two tables: half the difference of the
/// correlations, or with a category the total variation distance of the joint distributions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairDifference {
    /// The columns.
    pub columns: [usize; 2],
    /// In `[0, 1]`, 0 is best.
    pub difference: f64,
}

impl Fidelity {
    /// Compares two tables of the same columns. NaN is a missing value.
    ///
    /// # Errors
    /// For parameters out of range, infinite numbers, tables with fewer than 2 rows or with
    /// other columns.
    pub fn check(
        &self,
        real: ArrayView2<'_, f64>,
        synthetic: ArrayView2<'_, f64>,
        columns: &[Column],
    ) -> Result<FidelityReport> {
        ensure("max_rows", self.max_rows as f64, self.max_rows >= 2, "[2, inf)")?;
        ensure("permutations", self.permutations as f64, self.permutations >= 1, "[1, inf)")?;
        for (name, x) in [("real rows", real), ("synthetic rows", synthetic)] {
            crate::table::check(x, columns, None, true)?;
            ensure(name, x.nrows() as f64, x.nrows() >= 2, "[2, inf)")?;
        }
        let both = |at: usize| [real.column(at), synthetic.column(at)];
        let distances = columns.iter().enumerate().map(|(at, &column)| {
            let [real, synthetic] = both(at);
            column_distance(real, synthetic, column)
        });
        let mut pairs = Vec::new();
        for b in 0..columns.len() {
            for a in 0..b {
                let ([ra, sa], [rb, sb]) = (both(a), both(b));
                let difference = pair_distance([ra, rb], [sa, sb], [columns[a], columns[b]]);
                pairs.push(PairDifference { columns: [a, b], difference });
            }
        }
        let space = Space::of(real, columns);
        let some = |x: ArrayView2<'_, f64>, stream: u64| space.points(self.some(x, stream).view());
        let (r, s) = (some(real, 1), some(synthetic, 2));
        Ok(FidelityReport {
            columns: distances.collect(),
            pairs,
            mmd: mmd(&r, &s, self.permutations, derive(self.seed, 3)),
            two_sample: classifier(&r, &s, derive(self.seed, 4)),
            nearest: NearestRecords::of(&r, &s),
        })
    }

    fn some(&self, x: ArrayView2<'_, f64>, stream: u64) -> Array2<f64> {
        if x.nrows() <= self.max_rows {
            return x.to_owned();
        }
        let mut rng = rng(derive(self.seed, stream));
        let mut rows = sample(&mut rng, x.nrows(), self.max_rows).into_vec();
        rows.sort_unstable();
        x.select(Axis(0), &rows)
    }
}

impl FidelityReport {
    /// 1 minus the mean distance of the columns; 1 is best. The column shapes of SDMetrics.
    pub fn column_score(&self) -> f64 {
        1.0 - mean(self.columns.iter().copied())
    }

    /// 1 minus the mean difference of the pairs; 1 is best, and 1 with one column. The pair
    /// trends of SDMetrics.
    pub fn pair_score(&self) -> f64 {
        1.0 - mean(self.pairs.iter().map(|p| p.difference))
    }

    /// The mean of both scores, as SDMetrics' quality report.
    pub fn quality(&self) -> f64 {
        (self.column_score() + self.pair_score()) / 2.0
    }
}

/// 0 of nothing.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    values.sum::<f64>() / n
}

impl fmt::Display for FidelityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest = |all: Vec<(f64, String)>| {
            let most = all.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
            most.map_or(String::new(), |(d, at)| format!(", largest {d:.3} ({at})"))
        };
        let columns = self.columns.iter().enumerate().map(|(at, d)| (*d, at.to_string()));
        let pairs = self
            .pairs
            .iter()
            .map(|p| (p.difference, format!("{} and {}", p.columns[0], p.columns[1])));
        let columns = largest(columns.collect());
        writeln!(f, "column distance  mean {:.3}{columns}", 1.0 - self.column_score())?;
        let pairs = largest(pairs.collect());
        writeln!(f, "pair difference  mean {:.3}{pairs}", 1.0 - self.pair_score())?;
        writeln!(f, "squared MMD      {:.5}, p = {:.3}", self.mmd.statistic, self.mmd.p_value)?;
        let test = self.two_sample;
        writeln!(f, "two-sample test  accuracy {:.3}, p = {:.3}", test.statistic, test.p_value)?;
        let [n, own] = [self.nearest.synthetic, self.nearest.real];
        writeln!(
            f,
            "nearest record   5 % {:.3}, median {:.3}; of real rows {:.3}, {:.3}; {} copies, {:.1} % too near",
            n[0],
            n[1],
            own[0],
            own[1],
            self.nearest.copies,
            100.0 * self.nearest.too_near
        )
    }
}
