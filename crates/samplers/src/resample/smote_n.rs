use std::sync::Arc;

use counterweight_core::ensure;
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::macros::resampler;
use super::smote_nc::vote;
use super::{Resampler, begun, ensure_members, growths, rows_by_class};
use crate::mixed::{Mixed, coded};
use crate::plan::Details;
use crate::value_difference::ValueDifference;
use crate::{Plan, Result, Strategy, Table};

const METHOD: &str = "SMOTE-N";

resampler! {
    /// SMOTE-N (Chawla et al. 2002, section 6.2): SMOTE for tables of categorical columns only. A
    /// synthetic row holds in each column what is most frequent among the k nearest neighbours of
    /// its base row.
    ///
    /// Distances are the value difference metric (Stanfill and Waltz 1986; Cost and Salzberg
    /// 1993) over all rows: `d² = Σ_columns (Σ_c |P(c | a) − P(c | b)|)²`. Categories are any
    /// finite numbers; of equally frequent ones one is drawn (imbalanced-learn takes the lowest).
    SmoteN {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl SmoteN {
    /// The value difference of every pair of rows, `[rows, rows]`, not squared.
    ///
    /// # Errors
    /// As [`plan`](Resampler::plan).
    pub fn distances(x: &dyn Table, y: &[usize]) -> Result<Array2<f64>> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        let all: Vec<usize> = (0..y.len()).collect();
        let metric = Metric::new(x.dense(METHOD)?, y, &rows.keys().copied().collect::<Vec<_>>());
        let mixed = metric.of(&all);
        Ok(Array2::from_shape_fn((y.len(), y.len()), |(a, b)| mixed.squared(a, b).sqrt()))
    }
}

/// The value difference of every column.
struct Metric {
    codes: Array2<u32>,
    columns: Arc<Vec<ValueDifference>>,
    /// Whether there are two classes.
    two: bool,
}

impl Metric {
    fn new(x: ArrayView2<'_, f64>, y: &[usize], classes: &[usize]) -> Self {
        let columns: Vec<usize> = (0..x.ncols()).collect();
        let (codes, values) = coded(x, &columns);
        let y: Vec<u32> =
            y.iter().map(|class| classes.partition_point(|c| c < class) as u32).collect();
        let column = |(column, values): (usize, &Vec<f64>)| {
            ValueDifference::new(codes.index_axis(Axis(1), column), values.len(), &y)
        };
        let columns = values.par_iter().enumerate().map(column).collect();
        Self { codes, columns: Arc::new(columns), two: classes.len() == 2 }
    }

    /// Some rows with the costs of their categories.
    fn of(&self, rows: &[usize]) -> Mixed {
        let codes = self.codes.select(Axis(0), rows);
        // Of two classes both shares differ alike: the metric is Euclidean on twice one of them.
        let embedded = self.two.then(|| {
            Array2::from_shape_fn(codes.dim(), |(row, column)| {
                2.0 * self.columns[column].first(codes[[row, column]] as usize)
            })
        });
        Mixed::differences(codes, self.columns.clone(), embedded)
    }
}

impl Resampler for SmoteN {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        let rows = rows_by_class(x, y)?;
        let classes: Vec<usize> = rows.keys().copied().collect();
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        let mut sets = Vec::new();
        let metric = Metric::new(x.dense(METHOD)?, y, &classes);
        for growth in growing {
            let members = growth.members;
            ensure_members(growth.class, members.len(), self.k, METHOD)?;
            vote(&mut planned, &mut sets, growth, metric.of(members), self.k, |_| 0.0);
        }
        let categories = (0..x.columns()).collect();
        Ok(Plan::new(planned).with_details(Details { sets, categories, ..Details::default() }))
    }
}
