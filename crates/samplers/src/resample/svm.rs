//! The support vectors of a C-SVC with an RBF kernel.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

use crate::table::squared;

/// Stop where the Karush-Kuhn-Tucker conditions hold this well, as libsvm.
const TOLERANCE: f64 = 1e-3;
/// Kernel values kept, 64 MB; in single precision, as libsvm's.
const CACHE: usize = 1 << 24;

/// The rows of `positive` that support a boundary against `negative`: sequential minimal
/// optimisation with second-order working sets (Fan, Chen and Lin, JMLR 2005), `C` = `cost`,
/// kernel `exp(−γ |a − b|²)`.
pub(super) fn support(
    x: ArrayView2<'_, f64>,
    positive: &[usize],
    negative: &[usize],
    cost: f64,
    gamma: f64,
) -> Vec<usize> {
    let rows: Vec<usize> = positive.iter().chain(negative).copied().collect();
    let n = rows.len();
    let sign = |i: usize| if i < positive.len() { 1.0 } else { -1.0 };
    let mut alpha = vec![0.0; n];
    // Gradient of the dual, ½ αᵀQα − Σ α.
    let mut slope = vec![-1.0f64; n];
    let mut kernel =
        Kernel { points: x.select(Axis(0), &rows), gamma, kept: BTreeMap::new(), asked: 0 };
    let up = |i: usize, alpha: &[f64]| {
        if sign(i) > 0.0 { alpha[i] < cost } else { alpha[i] > 0.0 }
    };
    let low = |i: usize, alpha: &[f64]| {
        if sign(i) > 0.0 { alpha[i] > 0.0 } else { alpha[i] < cost }
    };
    // As libsvm's limit: far above what converging takes.
    for _ in 0..n.saturating_mul(100).max(10_000_000) {
        let first = (0..n)
            .filter(|&i| up(i, &alpha))
            .max_by(|&a, &b| (-sign(a) * slope[a]).total_cmp(&(-sign(b) * slope[b])));
        let Some(i) = first else { break };
        let most = -sign(i) * slope[i];
        let line = kernel.line(i);
        let (mut best, mut second, mut least) = (0.0, None, f64::INFINITY);
        for t in 0..n {
            if !low(t, &alpha) {
                continue;
            }
            let value = -sign(t) * slope[t];
            least = least.min(value);
            let gap = most - value;
            if gap > 0.0 {
                let curve = (2.0 - 2.0 * f64::from(line[t])).max(1e-12);
                let gain = gap * gap / curve;
                if gain > best {
                    (best, second) = (gain, Some(t));
                }
            }
        }
        let (Some(j), true) = (second, most - least >= TOLERANCE) else { break };
        let other = kernel.line(j);
        let curve = (2.0 - 2.0 * f64::from(line[j])).max(1e-12);
        // Along αᵢ += yᵢ s, αⱼ −= yⱼ s both stay in the box.
        let step = (most + sign(j) * slope[j]) / curve;
        let room = |t: usize, toward: f64| if toward > 0.0 { cost - alpha[t] } else { alpha[t] };
        let step = step.min(room(i, sign(i))).min(room(j, -sign(j)));
        alpha[i] = (alpha[i] + sign(i) * step).clamp(0.0, cost);
        alpha[j] = (alpha[j] - sign(j) * step).clamp(0.0, cost);
        for (t, slope) in slope.iter_mut().enumerate() {
            *slope += sign(t) * step * f64::from(line[t] - other[t]);
        }
    }
    positive.iter().zip(&alpha).filter(|a| *a.1 > 0.0).map(|a| *a.0).collect()
}

/// Lines of the kernel matrix; those asked for last are kept.
struct Kernel {
    points: Array2<f64>,
    gamma: f64,
    /// When each was asked for, and its values.
    kept: BTreeMap<usize, (usize, Arc<Vec<f32>>)>,
    asked: usize,
}

impl Kernel {
    fn line(&mut self, i: usize) -> Arc<Vec<f32>> {
        self.asked += 1;
        if let Some((asked, line)) = self.kept.get_mut(&i) {
            *asked = self.asked;
            return line.clone();
        }
        let (n, columns) = self.points.dim();
        if columns == 0 {
            return Arc::new(vec![1.0; n]);
        }
        let values = self.points.as_slice().unwrap_or_default();
        let from = &values[i * columns..][..columns];
        let value = |to: &[f64]| (-self.gamma * squared(from, to)).exp() as f32;
        let rows = values.par_chunks(columns).with_min_len(1024);
        let line: Arc<Vec<f32>> = Arc::new(rows.map(value).collect());
        while self.kept.len() >= 2 && (self.kept.len() + 1) * line.len() > CACHE {
            let oldest = self.kept.iter().min_by_key(|(_, (asked, _))| *asked).map(|(&i, _)| i);
            oldest.map(|i| self.kept.remove(&i));
        }
        self.kept.insert(i, (self.asked, line.clone()));
        line
    }
}
