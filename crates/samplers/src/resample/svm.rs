//! The support vectors of a C-SVC with an RBF kernel.

use std::collections::{BTreeMap, VecDeque};

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

/// Stop where the Karush-Kuhn-Tucker conditions hold this well, as libsvm.
const TOLERANCE: f64 = 1e-3;
/// Kernel values kept, 32 MB.
const CACHE: usize = 1 << 22;

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
        Kernel { x, rows: &rows, gamma, kept: BTreeMap::new(), order: VecDeque::new() };
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
                let curve = (2.0 - 2.0 * line[t]).max(1e-12);
                let gain = gap * gap / curve;
                if gain > best {
                    (best, second) = (gain, Some(t));
                }
            }
        }
        let (Some(j), true) = (second, most - least >= TOLERANCE) else { break };
        let other = kernel.line(j);
        let curve = (2.0 - 2.0 * line[j]).max(1e-12);
        // Along αᵢ += yᵢ s, αⱼ −= yⱼ s both stay in the box.
        let step = (most + sign(j) * slope[j]) / curve;
        let room = |t: usize, toward: f64| if toward > 0.0 { cost - alpha[t] } else { alpha[t] };
        let step = step.min(room(i, sign(i))).min(room(j, -sign(j)));
        alpha[i] = (alpha[i] + sign(i) * step).clamp(0.0, cost);
        alpha[j] = (alpha[j] - sign(j) * step).clamp(0.0, cost);
        for (t, slope) in slope.iter_mut().enumerate() {
            *slope += sign(t) * step * (line[t] - other[t]);
        }
    }
    positive.iter().zip(&alpha).filter(|a| *a.1 > 0.0).map(|a| *a.0).collect()
}

/// Lines of the kernel matrix, the latest kept.
struct Kernel<'a> {
    x: ArrayView2<'a, f64>,
    rows: &'a [usize],
    gamma: f64,
    kept: BTreeMap<usize, std::sync::Arc<Vec<f64>>>,
    order: VecDeque<usize>,
}

impl Kernel<'_> {
    fn line(&mut self, i: usize) -> std::sync::Arc<Vec<f64>> {
        if let Some(line) = self.kept.get(&i) {
            return line.clone();
        }
        let from = self.x.index_axis(Axis(0), self.rows[i]);
        let value = |&row: &usize| {
            let to = self.x.index_axis(Axis(0), row);
            let squared: f64 = from.iter().zip(to).map(|(a, b)| (a - b) * (a - b)).sum();
            (-self.gamma * squared).exp()
        };
        let line: Vec<f64> = self.rows.par_iter().with_min_len(512).map(value).collect();
        let line = std::sync::Arc::new(line);
        while (self.order.len() + 1) * self.rows.len() > CACHE.max(2 * self.rows.len()) {
            if let Some(oldest) = self.order.pop_front() {
                self.kept.remove(&oldest);
            }
        }
        self.order.push_back(i);
        self.kept.insert(i, line.clone());
        line
    }
}
