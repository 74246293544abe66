//! One file per way to end hopeless trials early.

mod halving;
mod hyperband;
mod percentile;
mod wilcoxon;

use std::fmt::Debug;
use std::sync::Arc;

pub use halving::SuccessiveHalving;
pub use hyperband::Hyperband;
pub use percentile::Percentile;
pub use wilcoxon::Wilcoxon;

use crate::{Direction, Result, State, TrialRecord};

/// A running trial and those it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct PruneTask<'a> {
    /// All trials of the study by number.
    pub history: &'a [Arc<TrialRecord>],
    /// The trial; it has reported something.
    pub trial: &'a TrialRecord,
    /// Direction of the reported values.
    pub direction: Direction,
    /// A seed of the trial's own.
    pub seed: u64,
    /// The study's name.
    pub study: &'a str,
}

impl PruneTask<'_> {
    /// Complete trials.
    fn complete(&self) -> impl Iterator<Item = &TrialRecord> {
        self.history.iter().map(|t| &**t).filter(|t| t.state == State::Complete)
    }
}

/// A system attribute that a pruner wants noted of the trial.
pub type Note = (String, serde_json::Value);

/// Ends hopeless trials early.
pub trait Pruner: Debug + Send + Sync {
    /// Whether to end the trial. `notes` are written to it.
    ///
    /// # Errors
    /// For settings outside their range.
    fn prune(&self, task: &PruneTask<'_>, notes: &mut Vec<Note>) -> Result<bool>;

    /// The trials that a suggester may learn from for trial `number`, if not all: those
    /// of its bracket.
    fn peers(
        &self,
        _study: &str,
        _history: &[Arc<TrialRecord>],
        _number: u64,
    ) -> Option<Vec<Arc<TrialRecord>>> {
        None
    }
}

/// Prunes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPruner;

impl Pruner for NoPruner {
    fn prune(&self, _task: &PruneTask<'_>, _notes: &mut Vec<Note>) -> Result<bool> {
        Ok(false)
    }
}
