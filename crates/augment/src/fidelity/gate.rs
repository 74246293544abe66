use std::fmt;

use counterweight_core::ensure;
use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::report::FidelityReport;
use super::space::{Nearest, Space};
use crate::macros::config;
use crate::{Column, Error, Result};

config! {
    /// Thresholds that synthetic rows must pass before they are added: as a set by
    /// [`failures`](Self::failures), row by row by [`keep`](Self::keep).
    ///
    /// ```
    /// use counterweight_augment::{Column, FidelityGate};
    /// use ndarray::array;
    ///
    /// let real = array![[0.0], [0.1], [0.2], [0.3], [5.0], [5.1], [5.3], [5.2], [5.4]];
    /// let labels = [1, 1, 1, 1, 0, 0, 0, 0, 0];
    /// // A copy, one among its own, one among strangers, one far from everything.
    /// let made = array![[0.1], [0.15], [5.15], [-40.0]];
    /// let gate = FidelityGate::new().with_neighbours(3);
    /// let keep = gate.keep(real.view(), &labels, made.view(), 1, &[Column::Number])?;
    /// assert_eq!(keep, [false, true, false, false]);
    /// # Ok::<(), counterweight_augment::Error>(())
    /// ```
    FidelityGate {
        /// Largest distance of a column, in `[0, 1]`. Default: 0.3.
        with_max_column(max_column: f64 = 0.3),
        /// Largest mean difference of the pairs, in `[0, 1]`. Default: 0.15.
        with_max_pairs(max_pairs: f64 = 0.15),
        /// Largest accuracy of the two-sample classifier, in `[0, 1]`. Default: 0.75.
        with_max_accuracy(max_accuracy: f64 = 0.75),
        /// Largest share of rows that are too near to a real one, in `[0, 1]`. Default: 0.2.
        with_max_too_near(max_too_near: f64 = 0.2),
        /// Of this many nearest real rows, no more may be of other classes than around all but
        /// 5 % of the class's real rows: few where classes lie apart, many where they overlap. At
        /// least 1. Default: 5.
        with_neighbours(neighbours: usize = 5),
        /// A row is rejected when its distance to the nearest real row of its class is more than
        /// this many times the largest between a real row and its nearest other, positive.
        /// Default: 1.5.
        with_max_distance(max_distance: f64 = 1.5),
        /// Whether rows that equal a real one stay. Default: false.
        with_copies(copies: bool = false),
    }
}

/// A threshold that a set of synthetic rows did not pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What was measured.
    pub what: String,
    /// Its value.
    pub value: f64,
    /// The threshold.
    pub limit: f64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:.3}, above {}", self.what, self.value, self.limit)
    }
}

impl FidelityGate {
    /// Checks the parameters' ranges.
    ///
    /// # Errors
    /// Naming the parameter, its value and the range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("max_column", self.max_column),
            ("max_pairs", self.max_pairs),
            ("max_accuracy", self.max_accuracy),
            ("max_too_near", self.max_too_near),
        ] {
            ensure(name, value, (0.0..=1.0).contains(&value), "[0, 1]")?;
        }
        ensure("neighbours", self.neighbours as f64, self.neighbours >= 1, "[1, inf)")?;
        ensure("max_distance", self.max_distance, self.max_distance > 0.0, "(0, inf]")?;
        Ok(())
    }

    /// The thresholds that a report does not pass; none when the rows may be added.
    pub fn failures(&self, report: &FidelityReport) -> Vec<Failure> {
        let columns = report.columns.iter().enumerate();
        let columns =
            columns.map(|(at, d)| (format!("distance of column {at}"), *d, self.max_column));
        let rest = [
            ("mean pair difference".to_owned(), 1.0 - report.pair_score(), self.max_pairs),
            ("two-sample accuracy".to_owned(), report.two_sample.statistic, self.max_accuracy),
            ("share too near".to_owned(), report.nearest.too_near, self.max_too_near),
        ];
        columns
            .chain(rest)
            .filter(|(_, value, limit)| value > limit)
            .map(|(what, value, limit)| Failure { what, value, limit })
            .collect()
    }

    /// Which synthetic rows of a class to keep: no copies, none among more strangers than the
    /// class's real rows are, none far from every real row of the class.
    ///
    /// # Errors
    /// For parameters out of range, arrays that do not fit, infinite numbers, and
    /// [`Error::Class`] when no real row is of the class.
    pub fn keep(
        &self,
        real: ArrayView2<'_, f64>,
        labels: &[usize],
        synthetic: ArrayView2<'_, f64>,
        class: usize,
        columns: &[Column],
    ) -> Result<Vec<bool>> {
        self.check()?;
        crate::table::check(real, columns, Some(labels), true)?;
        if synthetic.nrows() == 0 {
            return Ok(Vec::new());
        }
        crate::table::check(synthetic, columns, None, true)?;
        let rows: Vec<usize> = (0..labels.len()).filter(|&r| labels[r] == class).collect();
        if rows.is_empty() {
            let mut known = labels.to_vec();
            known.sort_unstable();
            known.dedup();
            return Err(Error::Class { class, known });
        }
        let space = Space::of(real, columns);
        let all = space.points(real);
        let own = space.points(real.select(Axis(0), &rows).view());
        let made = space.points(synthetic);
        let among = made.nearest(&all, self.neighbours, false);
        let strangers =
            |found: &[(f64, usize)]| found.iter().filter(|n| labels[n.1] != class).count();
        // A real row is its own nearest neighbour, or a copy of it is.
        let around_own = own.nearest(&all, self.neighbours + 1, false);
        let mut usual: Vec<usize> = around_own.iter().map(|found| strangers(&found[1..])).collect();
        usual.sort_unstable();
        let most = usual[((usual.len() - 1) as f64 * 0.95).floor() as usize];
        let apart = made.nearest(&own, 1, false);
        let real_apart = own.nearest(&own, 1, true);
        let nearest = |found: &Nearest| found.first().map_or(0.0, |n| n.0.sqrt());
        let largest = real_apart.iter().map(nearest).fold(0.0, f64::max);
        // One row alone says nothing about distances.
        let limit = if rows.len() > 1 { self.max_distance * largest } else { f64::INFINITY };
        let keep = |(among, apart): (&Nearest, &Nearest)| {
            let copy = among.first().is_some_and(|n| n.0 == 0.0);
            strangers(among) <= most && nearest(apart) <= limit && (self.copies || !copy)
        };
        Ok(among.iter().zip(&apart).map(keep).collect())
    }
}
