use serde::{Deserialize, Serialize};

use super::space::{Nearest, Points};

/// Distances to the closest real record, in units of the columns' deviations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NearestRecords {
    /// 5 % quantile and median over the synthetic rows.
    pub synthetic: [f64; 2],
    /// The same over the real rows, each to the closest other.
    pub real: [f64; 2],
    /// The share of synthetic rows that are nearer than the real rows' 5 % quantile. About .05
    /// is expected; much more means that real rows can be told from synthetic ones.
    pub too_near: f64,
    /// Synthetic rows that equal a real one.
    pub copies: usize,
}

impl NearestRecords {
    pub(super) fn of(real: &Points, synthetic: &Points) -> Self {
        let first = |found: Vec<Nearest>| -> Vec<f64> {
            let mut all: Vec<f64> =
                found.iter().map(|f| f.first().map_or(f64::INFINITY, |n| n.0.sqrt())).collect();
            all.sort_unstable_by(f64::total_cmp);
            all
        };
        let own = first(real.nearest(real, 1, true));
        let made = first(synthetic.nearest(real, 1, false));
        let quantile = |all: &[f64], q: f64| all[((all.len() - 1) as f64 * q).round() as usize];
        let at = |all: &[f64]| [quantile(all, 0.05), quantile(all, 0.5)];
        let limit = quantile(&own, 0.05);
        let near = made.iter().filter(|d| **d < limit).count();
        Self {
            synthetic: at(&made),
            real: at(&own),
            too_near: near as f64 / made.len() as f64,
            copies: made.iter().filter(|d| **d == 0.0).count(),
        }
    }
}
