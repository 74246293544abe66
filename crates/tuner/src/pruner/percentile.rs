use super::{Note, PruneTask, Pruner};
use crate::{Error, Result};

/// Prunes a trial whose best report so far is worse than a percentile of what complete
/// trials had reported at the same step (Golovin et al., KDD 2017, for the median).
///
/// As Optuna's `PercentilePruner`; [`median`](Self::median) is its `MedianPruner`. NaN
/// reports of others are left out; a trial with nothing but NaN is pruned.
#[derive(Debug, Clone, Copy)]
pub struct Percentile {
    percentile: f64,
    startup: usize,
    warmup: i64,
    interval: i64,
    least: usize,
}

impl Percentile {
    /// Keeps the best `percentile` percent, in `[0, 100]`.
    pub fn new(percentile: f64) -> Self {
        Self { percentile, startup: 5, warmup: 0, interval: 1, least: 1 }
    }

    /// Keeps the better half.
    pub fn median() -> Self {
        Self::new(50.0)
    }

    /// Sets how many trials must be complete first. Default 5.
    #[must_use]
    pub fn with_startup(mut self, trials: usize) -> Self {
        self.startup = trials;
        self
    }

    /// Sets the first step at which a trial may be pruned. Default 0.
    #[must_use]
    pub fn with_warmup(mut self, steps: i64) -> Self {
        self.warmup = steps;
        self
    }

    /// Sets the distance of steps between checks, from the warm-up on. Default 1.
    #[must_use]
    pub fn with_interval(mut self, steps: i64) -> Self {
        self.interval = steps;
        self
    }

    /// Sets how many others must have reported at the step. Default 1.
    #[must_use]
    pub fn with_least_reports(mut self, trials: usize) -> Self {
        self.least = trials;
        self
    }

    fn check(&self) -> Result<()> {
        if !(0.0..=100.0).contains(&self.percentile) {
            let value = self.percentile;
            return Err(Error::OutOfRange { name: "percentile", value, allowed: "[0, 100]" });
        }
        if self.interval < 1 {
            let value = self.interval as f64;
            return Err(Error::OutOfRange { name: "interval", value, allowed: "[1, inf)" });
        }
        Ok(())
    }
}

impl Pruner for Percentile {
    fn prune(&self, task: &PruneTask<'_>, _notes: &mut Vec<Note>) -> Result<bool> {
        self.check()?;
        let complete = task.complete().count();
        let Some((step, _)) = task.trial.last_report() else { return Ok(false) };
        if complete == 0 || complete < self.startup || step < self.warmup {
            return Ok(false);
        }
        // Only the first report of each interval is judged.
        let begin = (step - self.warmup) / self.interval * self.interval + self.warmup;
        if task.trial.intermediate.range(begin..step).next().is_some() {
            return Ok(false);
        }
        let loss = |v: f64| task.direction.loss(v);
        let own = task.trial.intermediate.values().map(|&v| loss(v)).filter(|v| !v.is_nan());
        let Some(own) = own.min_by(f64::total_cmp) else { return Ok(true) };
        let reports: Vec<f64> =
            task.complete().filter_map(|t| t.intermediate.get(&step)).map(|&v| loss(v)).collect();
        if reports.len() < self.least {
            return Ok(false);
        }
        let mut numbers: Vec<f64> = reports.into_iter().filter(|v| !v.is_nan()).collect();
        numbers.sort_by(f64::total_cmp);
        Ok(quantile(&numbers, self.percentile / 100.0).is_some_and(|limit| own > limit))
    }
}

/// Of sorted numbers, with linear interpolation.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    // Infinite neighbours have no difference.
    Some(if below == above { below } else { below + (above - below) * place.fract() })
}
