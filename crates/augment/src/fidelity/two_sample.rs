use counterweight_core::{derive, rng};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::space::Points;

/// A test of whether two samples have one distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The statistic.
    pub statistic: f64,
    /// The probability of a statistic as large when the distributions are equal.
    pub p_value: f64,
}

/// The squared maximum mean discrepancy (Gretton et al., JMLR 2012), unbiased, under a Gaussian
/// kernel whose width is the median distance, and its p-value from permutations.
pub(super) fn mmd(real: &Points, synthetic: &Points, permutations: usize, seed: u64) -> TestResult {
    let all = real.then(synthetic);
    let n = all.rows;
    let mut kernel = vec![0.0; n * n];
    kernel.par_chunks_exact_mut(n).enumerate().for_each(|(at, row)| {
        for (to, d) in row.iter_mut().enumerate() {
            *d = all.squared(at, &all, to);
        }
    });
    let mut distances: Vec<f64> =
        (0..n).flat_map(|at| kernel[at * n + at + 1..(at + 1) * n].iter().copied()).collect();
    let middle = distances.len() / 2;
    let (_, median, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    // Half of the rows may be equal.
    let width = if *median > 0.0 { *median } else { 1.0 };
    kernel.par_iter_mut().for_each(|d| *d = (-*d / width).exp());

    // A column of 0 and 1 says which rows count as synthetic: first as they are, then permuted.
    let mut groups = Mat::<f64>::zeros(n, permutations + 1);
    for column in 0..=permutations {
        let mut order: Vec<usize> = (0..n).collect();
        if column > 0 {
            order.shuffle(&mut rng(derive(seed, column as u64)));
        }
        order[real.rows..].iter().for_each(|&row| groups[(row, column)] = 1.0);
    }
    let kernel = MatRef::from_row_major_slice(&kernel, n, n);
    let mut sums = Mat::<f64>::zeros(n, permutations + 1);
    matmul(sums.as_mut(), Accum::Replace, kernel, groups.as_ref(), 1.0, Par::Seq);
    // A row equals itself and is no pair.
    let rows: Vec<f64> = (0..n).map(|at| kernel.row(at).iter().sum::<f64>() - 1.0).collect();
    let total: f64 = rows.iter().sum();
    let (a, b) = (real.rows as f64, synthetic.rows as f64);
    let statistic = |column: usize| {
        let (mut inside, mut with) = (0.0, 0.0);
        for row in (0..n).filter(|&row| groups[(row, column)] == 1.0) {
            inside += sums[(row, column)] - 1.0;
            with += rows[row];
        }
        let across = with - inside;
        let outside = total - inside - 2.0 * across;
        outside / (a * (a - 1.0)) + inside / (b * (b - 1.0)) - 2.0 * across / (a * b)
    };
    let observed = statistic(0);
    let as_large = (1..=permutations).filter(|&column| statistic(column) >= observed).count();
    let p_value = (1 + as_large) as f64 / (1 + permutations) as f64;
    TestResult { statistic: observed, p_value }
}

/// The classifier two-sample test (Lopez-Paz and Oquab, ICLR 2017): the accuracy, on one half of
/// the rows, of a vote of the √n nearest of the other half on whether a row is synthetic. As many
/// rows of either kind.
pub(super) fn classifier(real: &Points, synthetic: &Points, seed: u64) -> TestResult {
    let each = real.rows.min(synthetic.rows);
    let all = real.then(synthetic);
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (kind, (start, rows)) in
        [(0, real.rows), (real.rows, synthetic.rows)].into_iter().enumerate()
    {
        let mut order: Vec<usize> = (start..start + rows).collect();
        order.shuffle(&mut rng(derive(seed, kind as u64)));
        let half = each.div_ceil(2);
        train.extend(order[..half].iter().map(|&row| (row, kind)));
        test.extend(order[half..each].iter().map(|&row| (row, kind)));
    }
    if test.is_empty() {
        return TestResult { statistic: 0.5, p_value: 1.0 };
    }
    let k = (train.len() as f64).sqrt() as usize;
    // An odd number of votes cannot be equal.
    let k = k - (1 - k % 2);
    let right = |&(row, kind): &(usize, usize)| {
        let mut found: Vec<(f64, usize)> =
            train.iter().map(|&(to, kind)| (all.squared(row, &all, to), kind)).collect();
        found.select_nth_unstable_by(k - 1, |a, b| a.0.total_cmp(&b.0));
        let votes: usize = found[..k].iter().map(|f| f.1).sum();
        usize::from(2 * votes > k) == kind
    };
    let right = test.par_iter().filter(|row| right(row)).count();
    let n = test.len() as f64;
    let accuracy = right as f64 / n;
    // Under equality the accuracy is normal about ½ with variance 1 / 4n.
    let z = (accuracy - 0.5) * 2.0 * n.sqrt();
    TestResult { statistic: accuracy, p_value: Normal::standard().sf(z) }
}
