use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

/// The `k` nearest of `pool` for each of `queries` (rows of `x`), the query itself
/// excluded, nearest first, ties by row. Exact Euclidean distances by brute force, one
/// query per task.
pub(crate) fn nearest(
    x: ArrayView2<'_, f64>,
    queries: &[usize],
    pool: &[usize],
    k: usize,
) -> Vec<Vec<usize>> {
    queries
        .par_iter()
        .map(|&query| {
            let from = x.index_axis(Axis(0), query);
            let mut distances: Vec<(f64, usize)> = pool
                .iter()
                .filter(|&&row| row != query)
                .map(|&row| {
                    let to = x.index_axis(Axis(0), row);
                    let squared = from.iter().zip(to).map(|(a, b)| (a - b) * (a - b)).sum();
                    (squared, row)
                })
                .collect();
            let order =
                |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
            if distances.len() > k {
                distances.select_nth_unstable_by(k, order);
                distances.truncate(k);
            }
            distances.sort_unstable_by(order);
            distances.into_iter().map(|(_, row)| row).collect()
        })
        .collect()
}
