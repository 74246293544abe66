use std::sync::{Arc, OnceLock};

use super::{Note, PruneTask, Pruner, SuccessiveHalving};
use crate::{Error, Result, State, TrialRecord};

/// Hyperband (Li et al., JMLR 2018): brackets of [`SuccessiveHalving`] with early-stopping
/// rates 0, 1, …, among which trials are dealt by their number, most to the bracket that
/// prunes earliest.
///
/// A suggester learns, for a trial, from its bracket alone: with [`Tpe`](crate::Tpe) this
/// is BOHB (Falkner et al., ICML 2018). As Optuna's `HyperbandPruner`: the same trials go
/// to the same brackets.
#[derive(Debug, Clone)]
pub struct Hyperband {
    least: u32,
    most: Option<u32>,
    factor: u32,
    /// The largest step of the first complete trials, where it is not given.
    found: OnceLock<u32>,
}

impl Default for Hyperband {
    fn default() -> Self {
        Self { least: 1, most: None, factor: 3, found: OnceLock::new() }
    }
}

impl Hyperband {
    /// From step 1 to the last step of the first complete trial, η = 3.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the least resource. Default 1.
    #[must_use]
    pub fn with_least_resource(mut self, steps: u32) -> Self {
        self.least = steps;
        self
    }

    /// Sets the full resource: the number of steps of a trial that is not pruned. By
    /// default one more than the last step of the first complete trials; nothing is
    /// pruned before there is one.
    #[must_use]
    pub fn with_full_resource(mut self, steps: u32) -> Self {
        self.most = Some(steps);
        self
    }

    /// Sets the reduction factor η, at least 2. Default 3.
    #[must_use]
    pub fn with_reduction_factor(mut self, factor: u32) -> Self {
        self.factor = factor;
        self
    }

    fn full(&self, history: &[Arc<TrialRecord>]) -> Option<u32> {
        if let Some(full) = self.most.or(self.found.get().copied()) {
            return Some(full);
        }
        let complete = history.iter().filter(|t| t.state == State::Complete);
        let last = complete.filter_map(|t| t.last_report()).map(|(step, _)| step).max()?;
        Some(*self.found.get_or_init(|| u32::try_from(last + 1).unwrap_or(u32::MAX)))
    }

    /// The number of brackets.
    fn brackets(&self, full: u32) -> u32 {
        let ratio = f64::from(full) / f64::from(self.least);
        (ratio.ln() / f64::from(self.factor).ln()).floor().max(0.0) as u32 + 1
    }

    /// The bracket of a trial.
    fn bracket(&self, study: &str, number: u64, full: u32) -> u32 {
        let brackets = self.brackets(full);
        let share = |bracket: u32| {
            let s = brackets - 1 - bracket;
            let trials = f64::from(brackets) * f64::from(self.factor).powi(s as i32);
            (trials / f64::from(s + 1)).ceil() as u64
        };
        let all: u64 = (0..brackets).map(share).sum();
        let mut place = u64::from(crc32(format!("{study}_{number}").as_bytes())) % all;
        for bracket in 0..brackets {
            match place.checked_sub(share(bracket)) {
                Some(left) => place = left,
                None => return bracket,
            }
        }
        brackets - 1
    }
}

impl Pruner for Hyperband {
    fn prune(&self, task: &PruneTask<'_>, notes: &mut Vec<Note>) -> Result<bool> {
        let halving = SuccessiveHalving::new()
            .with_least_resource(self.least)
            .with_reduction_factor(self.factor);
        halving.check()?;
        let Some(full) = self.full(task.history) else { return Ok(false) };
        if full < self.least {
            let value = full.into();
            let allowed = "[least resource, inf)";
            return Err(Error::OutOfRange { name: "full resource", value, allowed });
        }
        let own = self.bracket(task.study, task.trial.number, full);
        let peers: Vec<Arc<TrialRecord>> = task
            .history
            .iter()
            .filter(|t| self.bracket(task.study, t.number, full) == own)
            .cloned()
            .collect();
        let task = PruneTask { history: &peers, ..*task };
        halving.with_early_stopping_rate(own).prune(&task, notes)
    }

    fn peers(
        &self,
        study: &str,
        history: &[Arc<TrialRecord>],
        number: u64,
    ) -> Option<Vec<Arc<TrialRecord>>> {
        if self.least == 0 || self.factor < 2 {
            return None;
        }
        let full = self.full(history).filter(|&full| full >= self.least)?;
        let own = self.bracket(study, number, full);
        let same = history.iter().filter(|t| self.bracket(study, t.number, full) == own);
        Some(same.cloned().collect())
    }
}

/// The checksum of zip and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_go_to_the_brackets_that_optuna_deals_them_to() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        // optuna 5.0.0: HyperbandPruner(1, 27, 3)._get_bracket_id for study "s".
        let dealt: Vec<u32> = (0..20).map(|i| Hyperband::new().bracket("s", i, 27)).collect();
        assert_eq!(dealt, BRACKETS);
    }

    const BRACKETS: [u32; 20] = [2, 1, 3, 3, 3, 2, 1, 1, 0, 0, 0, 0, 2, 0, 3, 0, 2, 0, 1, 0];
}
