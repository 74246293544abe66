//! A space in which rows of a table have distances.

use std::collections::BTreeMap;

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::columns::code;
use crate::Column;
use crate::table::mean_deviation;

/// Numbers in units of the real rows' deviation, 0 where missing, with 0/1 for missing beside
/// them; categories as codes, two of which differ by 1.
#[derive(Debug, Clone)]
pub(super) struct Space {
    scales: Vec<Scale>,
}

#[derive(Debug, Clone)]
enum Scale {
    Number { mean: f64, deviation: f64, missing: bool },
    Category(BTreeMap<u64, u32>),
}

/// Squared distances and rows, nearest first.
pub(super) type Nearest = Vec<(f64, usize)>;

/// Rows in a space.
#[derive(Debug, Clone, Default)]
pub(super) struct Points {
    pub(super) numbers: Vec<f64>,
    pub(super) codes: Vec<u32>,
    pub(super) rows: usize,
    /// Numbers and codes of a row.
    pub(super) widths: [usize; 2],
}

impl Space {
    pub(super) fn of(real: ArrayView2<'_, f64>, columns: &[Column]) -> Self {
        let scale = |(x, column): (ArrayView1<'_, f64>, &Column)| {
            if *column == Column::Category {
                let mut codes = BTreeMap::new();
                for value in x {
                    let next = codes.len() as u32;
                    codes.entry(code(*value)).or_insert(next);
                }
                return Scale::Category(codes);
            }
            let known: Vec<f64> = x.iter().copied().filter(|v| !v.is_nan()).collect();
            let (mean, spread) = mean_deviation(&known);
            let deviation = if spread > 0.0 { spread } else { 1.0 };
            Scale::Number { mean, deviation, missing: known.len() < x.len() }
        };
        Self { scales: real.columns().into_iter().zip(columns).map(scale).collect() }
    }

    pub(super) fn points(&self, x: ArrayView2<'_, f64>) -> Points {
        let mut points = Points { rows: x.nrows(), ..Points::default() };
        for row in x.rows() {
            for (value, scale) in row.iter().zip(&self.scales) {
                match scale {
                    Scale::Number { mean, deviation, missing } => {
                        let known = !value.is_nan();
                        let z = if known { (value - mean) / deviation } else { 0.0 };
                        points.numbers.push(z);
                        if *missing {
                            points.numbers.push(f64::from(u8::from(known)));
                        }
                    }
                    Scale::Category(codes) => {
                        points.codes.push(codes.get(&code(*value)).copied().unwrap_or(u32::MAX));
                    }
                }
            }
        }
        points.widths = [&points.numbers.len(), &points.codes.len()].map(|n| n / x.nrows().max(1));
        points
    }

    /// The same with a column for each category, for a linear model.
    pub(super) fn features(&self, x: ArrayView2<'_, f64>) -> (Vec<f64>, usize) {
        let points = self.points(x);
        let levels: Vec<usize> = self
            .scales
            .iter()
            .filter_map(|s| if let Scale::Category(codes) = s { Some(codes.len()) } else { None })
            .collect();
        let width = points.widths[0] + levels.iter().sum::<usize>();
        let mut out = vec![0.0; points.rows * width];
        for (row, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
            let (numbers, codes) = points.row(row);
            out[..numbers.len()].copy_from_slice(numbers);
            let mut start = numbers.len();
            for (code, levels) in codes.iter().zip(&levels) {
                if (*code as usize) < *levels {
                    out[start + *code as usize] = 1.0;
                }
                start += levels;
            }
        }
        (out, width)
    }
}

impl Points {
    pub(super) fn row(&self, at: usize) -> (&[f64], &[u32]) {
        let [n, c] = self.widths;
        (&self.numbers[at * n..(at + 1) * n], &self.codes[at * c..(at + 1) * c])
    }

    /// These rows and behind them those of another.
    pub(super) fn then(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.numbers.extend(&other.numbers);
        all.codes.extend(&other.codes);
        all.rows += other.rows;
        all
    }

    pub(super) fn squared(&self, at: usize, other: &Self, to: usize) -> f64 {
        let ((a, x), (b, y)) = (self.row(at), other.row(to));
        let numbers: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        numbers + x.iter().zip(y).filter(|(x, y)| x != y).count() as f64
    }

    /// The `k` nearest of `others` to each row; with `own`, `others` are these rows and none is its
    /// own neighbour.
    pub(super) fn nearest(&self, others: &Self, k: usize, own: bool) -> Vec<Nearest> {
        (0..self.rows)
            .into_par_iter()
            .map(|at| {
                let mut found: Nearest = Vec::with_capacity(k + 1);
                for to in (0..others.rows).filter(|to| !(own && *to == at)) {
                    let d = self.squared(at, others, to);
                    if found.len() < k || d < found[found.len() - 1].0 {
                        let place = found.partition_point(|f| f.0 <= d);
                        found.insert(place, (d, to));
                        found.truncate(k);
                    }
                }
                found
            })
            .collect()
    }
}
