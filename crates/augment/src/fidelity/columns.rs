//! Columns and pairs of columns: how far two tables are apart in them.

use std::collections::BTreeMap;

use counterweight_core::kolmogorov_smirnov;
use ndarray::ArrayView1;

use crate::Column;

/// Bins of a number beside a category, as in SDMetrics.
const BINS: usize = 10;

/// The Kolmogorov-Smirnov statistic of numbers, the total variation distance of categories;
/// with missing values at least the difference of their shares.
pub(crate) fn column_distance(
    real: ArrayView1<'_, f64>,
    synthetic: ArrayView1<'_, f64>,
    column: Column,
) -> f64 {
    if column == Column::Category {
        return total_variation(real.iter().map(|v| code(*v)), synthetic.iter().map(|v| code(*v)));
    }
    let known = |x: ArrayView1<'_, f64>| {
        let mut known: Vec<f64> = x.iter().copied().filter(|v| !v.is_nan()).collect();
        known.sort_unstable_by(f64::total_cmp);
        known
    };
    let (a, b) = (known(real), known(synthetic));
    let missing = (a.len() as f64 / real.len() as f64) - (b.len() as f64 / synthetic.len() as f64);
    kolmogorov_smirnov(&a, &b).max(missing.abs())
}

/// A category as a key: −0 and 0 are one, and so are all NaN.
pub(super) fn code(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

/// Half the sum of the differences between two distributions.
fn total_variation<K: Ord>(a: impl Iterator<Item = K>, b: impl Iterator<Item = K>) -> f64 {
    let mut counts: BTreeMap<K, [f64; 2]> = BTreeMap::new();
    let mut totals = [0.0; 2];
    for key in a {
        counts.entry(key).or_default()[0] += 1.0;
        totals[0] += 1.0;
    }
    for key in b {
        counts.entry(key).or_default()[1] += 1.0;
        totals[1] += 1.0;
    }
    counts.values().map(|[a, b]| (a / totals[0] - b / totals[1]).abs()).sum::<f64>() / 2.0
}

/// How differently two columns go together: half the difference of Pearson's correlations for
/// two numbers, else the total variation distance of the joint distributions, numbers in ten
/// bins of equal width. In `[0, 1]`; 0 where a number is constant in both tables.
pub(super) fn pair_distance(
    real: [ArrayView1<'_, f64>; 2],
    synthetic: [ArrayView1<'_, f64>; 2],
    columns: [Column; 2],
) -> f64 {
    if columns.iter().all(|c| *c != Column::Category) {
        return match (correlation(real), correlation(synthetic)) {
            (Some(a), Some(b)) => (a - b).abs() / 2.0,
            (None, None) => 0.0,
            _ => 0.5,
        };
    }
    let keys = |at: usize| {
        let range = real[at].iter().filter(|v| !v.is_nan());
        let low = range.clone().copied().fold(f64::INFINITY, f64::min);
        let high = range.copied().fold(f64::NEG_INFINITY, f64::max);
        move |value: f64| {
            if columns[at] == Column::Category || value.is_nan() {
                return code(value);
            }
            let bin = ((value - low) / (high - low) * BINS as f64).floor();
            // One value alone has no width.
            if bin.is_nan() { 0 } else { bin.clamp(0.0, BINS as f64 - 1.0) as u64 }
        }
    };
    let (first, second) = (keys(0), keys(1));
    let joint = |x: [ArrayView1<'_, f64>; 2]| -> Vec<_> {
        x[0].iter().zip(&x[1]).map(|(a, b)| (first(*a), second(*b))).collect()
    };
    total_variation(joint(real).into_iter(), joint(synthetic).into_iter())
}

/// Pearson's correlation over the rows where both are known.
fn correlation([a, b]: [ArrayView1<'_, f64>; 2]) -> Option<f64> {
    let pairs: Vec<_> = a
        .iter()
        .zip(b)
        .filter(|(a, b)| !a.is_nan() && !b.is_nan())
        .map(|(a, b)| [*a, *b])
        .collect();
    let n = pairs.len() as f64;
    let mean = |at: usize| pairs.iter().map(|p| p[at] / n).sum::<f64>();
    let means = [mean(0), mean(1)];
    // By the largest distance, so that squares do not overflow.
    let top = |at: usize| pairs.iter().map(|p| (p[at] - means[at]).abs()).fold(0.0, f64::max);
    let tops = [top(0), top(1)];
    if tops.contains(&0.0) {
        return None;
    }
    let centred = pairs.iter().map(|p| [0, 1].map(|at| (p[at] - means[at]) / tops[at]));
    let [aa, bb, ab] =
        centred.fold([0.0; 3], |[aa, bb, ab], [a, b]| [aa + a * a, bb + b * b, ab + a * b]);
    Some(ab / (aa * bb).sqrt())
}
