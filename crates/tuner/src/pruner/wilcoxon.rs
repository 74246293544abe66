use super::{Note, PruneTask, Pruner};
use crate::{Error, Result};

/// Prunes a trial whose reports are worse than the best trial's at the same steps by
/// Wilcoxon's signed-rank test (Wilcoxon 1945).
///
/// For objectives that average over instances (folds, problems): `report` the score of
/// instance *i* at step *i*, in an order shuffled per trial. One-sided, zero differences
/// split; the exact distribution up to 13 differences, and up to 50 without ties or zeros,
/// else the normal approximation with correction for ties (as SciPy). As Optuna's `WilcoxonPruner`: a trial
/// whose average so far is better than the best one's is never pruned.
#[derive(Debug, Clone, Copy)]
pub struct Wilcoxon {
    p: f64,
    startup: usize,
}

impl Default for Wilcoxon {
    fn default() -> Self {
        Self { p: 0.1, startup: 2 }
    }
}

impl Wilcoxon {
    /// p = 0.1 after 2 steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the p-value below which a trial is pruned, in `[0, 1]`. Default 0.1.
    #[must_use]
    pub fn with_p(mut self, p: f64) -> Self {
        self.p = p;
        self
    }

    /// Sets how many steps must be shared with the best trial. Default 2.
    #[must_use]
    pub fn with_startup_steps(mut self, steps: usize) -> Self {
        self.startup = steps;
        self
    }
}

impl Pruner for Wilcoxon {
    fn prune(&self, task: &PruneTask<'_>, _notes: &mut Vec<Note>) -> Result<bool> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(Error::OutOfRange { name: "p", value: self.p, allowed: "[0, 1]" });
        }
        let feasible = task.complete().filter(|t| t.violation() == 0.0 && t.values.len() == 1);
        let best = feasible.min_by(|a, b| {
            task.direction.loss(a.values[0]).total_cmp(&task.direction.loss(b.values[0]))
        });
        let Some(best) = best else { return Ok(false) };
        let (own, best) = (&task.trial.intermediate, &best.intermediate);
        if own.values().chain(best.values()).any(|v| !v.is_finite()) {
            return Ok(false);
        }
        let differences: Vec<f64> = own
            .iter()
            .filter_map(|(step, v)| {
                Some(task.direction.loss(*v) - task.direction.loss(*best.get(step)?))
            })
            .collect();
        if differences.len() < self.startup.max(2) {
            return Ok(false);
        }
        let mean = |values: &std::collections::BTreeMap<i64, f64>| {
            task.direction.loss(values.values().sum::<f64>() / values.len() as f64)
        };
        Ok(p_greater(&differences) < self.p && mean(own) > mean(best))
    }
}

/// The probability of rank sums as large as these under symmetry around 0.
fn p_greater(differences: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = differences.to_vec();
    sorted.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = sorted.len();
    // Twice the ranks, which ties make multiples of a half; those of zeros apart.
    let (mut ranks, mut positive, mut zeros) = (Vec::new(), 0, 0);
    let (mut ties, mut at) = (0.0, 0);
    while at < n {
        let same = sorted[at..].iter().take_while(|d| d.abs() == sorted[at].abs()).count();
        let rank = 2 * at + same + 1;
        for d in &sorted[at..at + same] {
            match d.total_cmp(&0.0) {
                _ if *d == 0.0 => zeros += rank,
                std::cmp::Ordering::Greater => positive += rank,
                _ => {}
            }
            if *d != 0.0 {
                ranks.push(rank);
            }
        }
        let t = same as f64;
        ties += t * t * t - t;
        at += same;
    }
    let distinct = ties == 0.0 && zeros == 0;
    if n <= 13 || (distinct && n <= 50) {
        return exact_tail(&ranks, positive);
    }
    let n = n as f64;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    let sum = positive as f64 / 2.0 + zeros as f64 / 4.0;
    let z = (sum - n * (n + 1.0) / 4.0) / variance.max(f64::MIN_POSITIVE).sqrt();
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// The share of the subsets of ranks whose sum is at least `sum`.
fn exact_tail(ranks: &[usize], sum: usize) -> f64 {
    let mut ways = vec![0.0; ranks.iter().sum::<usize>() + 1];
    ways[0] = 1.0;
    for &rank in ranks {
        for total in (rank..ways.len()).rev() {
            ways[total] += ways[total - rank];
        }
    }
    ways.iter().skip(sum).sum::<f64>() / 2f64.powi(ranks.len() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_scipys() {
        // scipy 1.17.1: wilcoxon(d, alternative="greater", zero_method="zsplit").pvalue
        let many: Vec<f64> = (0..30).map(|i| f64::from((i * 7 + 3) % 11) - 4.0).collect();
        let cases: [(&[f64], f64); 4] = [
            (&[1.0, 2.0, 3.0, -0.5, 4.0], P[0]),
            (&[1.0, 1.0, -1.0, 2.0, 0.0, 3.0], P[1]),
            (&[-1.0, -2.0, 3.5], P[2]),
            (&many, P[3]),
        ];
        for (d, p) in cases {
            assert!((p_greater(d) - p).abs() < 1e-12, "{d:?}: {}", p_greater(d));
        }
    }

    const P: [f64; 4] = [0.0625, 0.125, 0.625, 0.03972930882744623];
}
