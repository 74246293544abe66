use counterweight_core::ensure;
use ndarray::{ArrayView2, Axis};
use rand::RngExt;

use super::macros::resampler;
use super::{Growth, Resampler, begun, ensure_members, growths, rows_by_class};
use crate::mixed::{Mixed, coded};
use crate::neighbours::{Neighbour, nearest};
use crate::plan::Details;
use crate::table::{Features, Store};
use crate::{Error, Origin, Plan, PlannedRow, Result, Strategy, Table};

const METHOD: &str = "SMOTE-NC";

resampler! {
    /// SMOTE-NC (Chawla et al. 2002, section 6.1): SMOTE for tables with categorical columns. Each
    /// unequal category adds m² to the squared distance, m the median of the standard deviations
    /// of the class's other columns; a synthetic row has in each categorical column the most
    /// frequent category of the base row's k neighbours.
    ///
    /// Categories are any finite numbers. Of equally frequent ones one is drawn, as in
    /// imbalanced-learn. Distances and votes are among rows of one class only, whatever m is. Use
    /// [`SmoteN`](crate::SmoteN) when every column is categorical; name columns of whole numbers, which are
    /// interpolated and rounded, with `with_discrete`.
    ///
    /// ```
    /// use counterweight_samplers::{Resampler, SmoteNc};
    /// use ndarray::array;
    ///
    /// let x = array![[0.0, 2.0], [0.1, 2.0], [0.2, 7.0], [5.0, 1.0], [5.1, 1.0], [5.2, 1.0], [5.3, 4.0]];
    /// let plan = SmoteNc::new().with_categorical(vec![1]).with_k(2).plan(&x, &[1, 1, 1, 0, 0, 0, 0])?;
    /// let (x, _) = plan.apply(&x)?;
    /// assert!(x[[7, 1]] == 2.0 || x[[7, 1]] == 7.0);
    /// # Ok::<(), counterweight_samplers::Error>(())
    /// ```
    SmoteNc {
        /// Names the categorical columns, at least one and not all.
        with_categorical(categorical: Vec<usize> = Vec::new()),
        /// Names other columns of whole numbers; none by default.
        with_discrete(discrete: Vec<usize> = Vec::new()),
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl SmoteNc {
    fn check(&self, columns: usize) -> Result<()> {
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        for &column in self.categorical.iter().chain(&self.discrete) {
            if column >= columns {
                return Err(Error::Column { column, columns });
            }
        }
        if let Some(&column) = self.discrete.iter().find(|c| self.categorical.contains(c)) {
            return Err(Error::ColumnTwice { column });
        }
        let mut distinct = self.categorical.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if let Some(&column) = distinct.iter().find(|c| count(&self.categorical, **c) > 1) {
            return Err(Error::ColumnTwice { column });
        }
        match distinct.len() {
            0 => Err(Error::NoCategory),
            n if n == columns => Err(Error::AllCategorical),
            _ => Ok(()),
        }
    }

    /// The median of the standard deviations of a class's continuous columns, m.
    ///
    /// # Errors
    /// As [`plan`](Resampler::plan).
    pub fn spread(&self, x: &dyn Table, y: &[usize], class: usize) -> Result<f64> {
        let x = &x.features()?;
        self.check(x.columns())?;
        let rows = rows_by_class(x, y)?;
        let x = x.dense(METHOD)?;
        let of = |rows: &Vec<usize>| median_spread(x, rows, &self.continuous(x.ncols()));
        Ok(rows.get(&class).map_or(0.0, of))
    }

    fn continuous(&self, columns: usize) -> Vec<usize> {
        (0..columns).filter(|c| !self.categorical.contains(c)).collect()
    }
}

fn count(all: &[usize], one: usize) -> usize {
    all.iter().filter(|&&c| c == one).count()
}

fn median_spread(x: ArrayView2<'_, f64>, rows: &[usize], columns: &[usize]) -> f64 {
    let n = rows.len() as f64;
    let spread = |&column: &usize| {
        let column = x.index_axis(Axis(1), column);
        let mean = rows.iter().map(|&row| column[row]).sum::<f64>() / n;
        let squares = rows.iter().map(|&row| (column[row] - mean) * (column[row] - mean));
        (squares.sum::<f64>() / n).sqrt()
    };
    let mut all: Vec<f64> = columns.iter().map(spread).collect();
    all.sort_unstable_by(f64::total_cmp);
    let half = all.len() / 2;
    if all.len() % 2 == 1 { all[half] } else { (all[half - 1] + all[half]) / 2.0 }
}

impl Resampler for SmoteNc {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        self.check(x.columns())?;
        let rows = rows_by_class(x, y)?;
        let dense = x.dense(METHOD)?;
        let continuous = self.continuous(x.columns());
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        let mut sets = Vec::new();
        for growth in growing {
            let members = growth.members;
            ensure_members(growth.class, members.len(), self.k, METHOD)?;
            let spread = median_spread(dense, members, &continuous);
            let part = dense.select(Axis(0), members);
            let numbers = part.select(Axis(1), &continuous);
            let (codes, _) = coded(part.view(), &self.categorical);
            let mixed = Mixed::equal(numbers, codes, spread * spread);
            vote(&mut planned, &mut sets, growth, mixed, self.k, |rng| rng.random());
        }
        let details = Details {
            sets,
            categories: self.categorical.clone(),
            discrete: self.discrete.clone(),
            ..Details::default()
        };
        Ok(Plan::new(planned).with_details(details))
    }
}

/// Rows whose categories are voted by the neighbours of their base, `mixed` the members alone.
pub(super) fn vote(
    planned: &mut Vec<PlannedRow>,
    sets: &mut Vec<Vec<usize>>,
    growth: Growth<'_>,
    mixed: Mixed,
    k: usize,
    way: impl Fn(&mut counterweight_core::Rng) -> f64,
) {
    let Growth { class, members, wanted, mut rng } = growth;
    let all: Vec<usize> = (0..members.len()).collect();
    let near = nearest(&Features(Store::Mixed(Box::new(mixed))), &all, &all, k);
    let first = sets.len();
    let rows = |near: &Vec<Neighbour>| near.iter().map(|n| members[n.row]).collect();
    sets.extend(near.iter().map(rows));
    planned.extend((0..wanted).map(|_| {
        let base = rng.random_range(0..members.len());
        let set = first + base;
        let b = sets[set][rng.random_range(0..k)];
        let t = way(&mut rng);
        let origin = Origin::Voted { a: members[base], b, t, set, draw: rng.random() };
        PlannedRow { origin, class }
    }));
}
