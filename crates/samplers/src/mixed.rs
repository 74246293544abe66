//! Distances of rows with categories.

use ndarray::{Array2, ArrayView2, Axis};

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
    /// By column, `[codes, codes]`.
    Tables(Vec<Array2<f64>>),
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

    /// Codes of each column cost what its table says; `embedded`, if any, has these distances.
    pub(crate) fn tables(
        codes: Array2<u32>,
        tables: Vec<Array2<f64>>,
        embedded: Option<Array2<f64>>,
    ) -> Self {
        let numbers = Array2::zeros((codes.nrows(), 0));
        Self { numbers, codes, costs: Costs::Tables(tables), embedded }
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
                Costs::Tables(tables) => {
                    pairs.zip(tables).map(|((&a, &b), table)| table[[a as usize, b as usize]]).sum()
                }
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
    let mut codes = Array2::zeros((x.nrows(), columns.len()));
    let mut all = Vec::with_capacity(columns.len());
    for (at, &column) in columns.iter().enumerate() {
        let column = x.index_axis(Axis(1), column);
        let mut values: Vec<f64> = column.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values.dedup();
        for (code, v) in codes.index_axis_mut(Axis(1), at).iter_mut().zip(column) {
            // −0 and 0 are one category.
            *code = values.partition_point(|value| value < v) as u32;
        }
        all.push(values);
    }
    (codes, all)
}
