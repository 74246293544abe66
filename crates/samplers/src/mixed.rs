//! Distances of rows with categories.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::value_difference::ValueDifference;

/// Rows of numbers and codes with a cost for each pair of codes of a column.
#[derive(Debug, Clone)]
pub(crate) struct Mixed {
    numbers: Array2<f64>,
    codes: Array2<u32>,
    costs: Costs,
    /// Rows whose Euclidean distances are these, where few columns are enough.
    embedded: Option<Array2<f64>>,
}

/// What unequal codes add to a squared distance.
#[derive(Debug, Clone)]
pub(crate) enum Costs {
    /// As much for any two.
    Equal(f64),
    /// By column.
    Differences(Arc<Vec<ValueDifference>>),
}

/// Columns of an embedding that still pay.
const EMBEDDED: usize = 256;

impl Mixed {
    /// Codes that differ cost `cost`.
    pub(crate) fn equal(numbers: Array2<f64>, codes: Array2<u32>, cost: f64) -> Self {
        let levels: Vec<usize> = levels(&codes);
        let width = numbers.ncols() + levels.iter().sum::<usize>();
        let embedded = (width <= EMBEDDED).then(|| {
            let mut all = Array2::zeros((numbers.nrows(), width));
            let side = (cost / 2.0).sqrt();
            for (row, mut out) in all.outer_iter_mut().enumerate() {
                for (column, v) in numbers.index_axis(Axis(0), row).iter().enumerate() {
                    out[column] = *v;
                }
                let mut start = numbers.ncols();
                for (code, levels) in codes.index_axis(Axis(0), row).iter().zip(&levels) {
                    out[start + *code as usize] = side;
                    start += levels;
                }
            }
            all
        });
        Self { numbers, codes, costs: Costs::Equal(cost), embedded }
    }

    /// Codes of each column cost their difference; `embedded`, if any, has these distances.
    pub(crate) fn differences(
        codes: Array2<u32>,
        differences: Arc<Vec<ValueDifference>>,
        embedded: Option<Array2<f64>>,
    ) -> Self {
        let numbers = Array2::zeros((codes.nrows(), 0));
        Self { numbers, codes, costs: Costs::Differences(differences), embedded }
    }

    pub(crate) fn rows(&self) -> usize {
        self.codes.nrows()
    }

    pub(crate) fn columns(&self) -> usize {
        self.numbers.ncols() + self.codes.ncols()
    }

    pub(crate) fn embedded(&self) -> Option<ArrayView2<'_, f64>> {
        self.embedded.as_ref().map(|x| x.view())
    }

    pub(crate) fn squared(&self, a: usize, b: usize) -> f64 {
        let (x, y) = (self.numbers.index_axis(Axis(0), a), self.numbers.index_axis(Axis(0), b));
        let numbers: f64 = x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum();
        let (a, b) = (self.codes.index_axis(Axis(0), a), self.codes.index_axis(Axis(0), b));
        let pairs = a.iter().zip(b);
        numbers
            + match &self.costs {
                Costs::Equal(cost) => *cost * pairs.filter(|(a, b)| a != b).count() as f64,
                Costs::Differences(columns) => pairs
                    .zip(columns.iter())
                    .map(|((&a, &b), column)| column.squared(a as usize, b as usize))
                    .sum(),
            }
    }
}

/// How many codes each column has.
fn levels(codes: &Array2<u32>) -> Vec<usize> {
    let most = |column: ndarray::ArrayView1<'_, u32>| column.iter().max().map_or(0, |m| m + 1);
    codes.columns().into_iter().map(|column| most(column) as usize).collect()
}

/// The distinct values of columns as codes from 0, in order of value, and the values.
pub(crate) fn coded(x: ArrayView2<'_, f64>, columns: &[usize]) -> (Array2<u32>, Vec<Vec<f64>>) {
    let values = |&column: &usize| {
        let mut values: Vec<f64> = x.index_axis(Axis(1), column).to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        values
    };
    let all: Vec<Vec<f64>> = columns.par_iter().map(values).collect();
    let mut codes = Array2::zeros((x.nrows(), columns.len()));
    codes.axis_iter_mut(Axis(0)).into_par_iter().zip(x.axis_iter(Axis(0))).for_each(
        |(mut codes, row)| {
            for ((code, &column), values) in codes.iter_mut().zip(columns).zip(&all) {
                // −0 and 0 are one category.
                *code = values.partition_point(|value| *value < row[column]) as u32;
            }
        },
    );
    (codes, all)
}
