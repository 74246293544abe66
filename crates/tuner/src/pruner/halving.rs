use super::{Note, PruneTask, Pruner};
use crate::record::number;
use crate::{Error, Result};

/// Asynchronous successive halving, ASHA (Li et al., MLSys 2020).
///
/// Rung *r* lies at step `m · η^(s + r)` for a least resource *m*, reduction factor η and
/// early-stopping rate *s*. A trial that reaches a rung goes on when its report is among
/// the best `1/η` of all that have reached it; the first η − 1 of a rung go on when they
/// are the best so far. As Optuna's `SuccessiveHalvingPruner`, with its notes
/// `completed_rung_*`, so that workers of both agree.
#[derive(Debug, Clone, Copy)]
pub struct SuccessiveHalving {
    least: Option<u32>,
    factor: u32,
    rate: u32,
    bootstrap: usize,
}

impl Default for SuccessiveHalving {
    fn default() -> Self {
        Self { least: None, factor: 4, rate: 0, bootstrap: 0 }
    }
}

impl SuccessiveHalving {
    /// First rung by the complete trials, η = 4.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the least resource, at least 1. Default `None`: a hundredth of the last step of
    /// the complete trials, at least 1; nothing is pruned before there is one.
    #[must_use]
    pub fn with_least_resource(mut self, steps: impl Into<Option<u32>>) -> Self {
        self.least = steps.into();
        self
    }

    /// Sets the reduction factor η, at least 2. Default 4.
    #[must_use]
    pub fn with_reduction_factor(mut self, factor: u32) -> Self {
        self.factor = factor;
        self
    }

    /// Sets the early-stopping rate *s*: by how many rungs the first is put off.
    /// Default 0.
    #[must_use]
    pub fn with_early_stopping_rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// Sets how many must have reached a rung before any goes on. Default 0.
    #[must_use]
    pub fn with_bootstrap(mut self, trials: usize) -> Self {
        self.bootstrap = trials;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let out = |name, value: u32, allowed| {
            Err(Error::OutOfRange { name, value: value.into(), allowed })
        };
        match self {
            Self { least: Some(0), .. } => out("least resource", 0, "[1, inf)"),
            Self { factor: 0 | 1, .. } => out("reduction factor", self.factor, "[2, inf)"),
            _ => Ok(()),
        }
    }
}

impl Pruner for SuccessiveHalving {
    fn prune(&self, task: &PruneTask<'_>, notes: &mut Vec<Note>) -> Result<bool> {
        self.check()?;
        let Some((step, value)) = task.trial.last_report() else { return Ok(false) };
        let least = self.least.map(i64::from).or_else(|| {
            let last = task.complete().filter_map(|t| t.last_report()).map(|(step, _)| step);
            last.max().map(|last| (last / 100).max(1))
        });
        let Some(least) = least else { return Ok(false) };
        let key = |rung: u32| format!("completed_rung_{rung}");
        let mut rung = 0;
        while task.trial.system_attrs.contains_key(&key(rung)) {
            rung += 1;
        }
        loop {
            let height = i64::from(self.factor).saturating_pow(self.rate.saturating_add(rung));
            if step < least.saturating_mul(height) {
                return Ok(false);
            }
            if value.is_nan() {
                return Ok(true);
            }
            // Infinity has no number in JSON; Optuna reads its name as no number.
            notes.push((key(rung), value.clamp(f64::MIN, f64::MAX).into()));
            let others = task.history.iter().filter(|t| t.number != task.trial.number);
            let mut losses: Vec<f64> = others
                .filter_map(|t| t.system_attrs.get(&key(rung)).and_then(number))
                .chain([value])
                .map(|v| task.direction.loss(v))
                .collect();
            if losses.len() <= self.bootstrap {
                return Ok(true);
            }
            losses.sort_by(f64::total_cmp);
            let last = (losses.len() / self.factor as usize).saturating_sub(1);
            if task.direction.loss(value) > losses[last] {
                return Ok(true);
            }
            rung += 1;
        }
    }
}
