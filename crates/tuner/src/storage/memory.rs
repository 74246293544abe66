use std::sync::{Arc, Mutex, PoisonError};

use super::replay::{Replay, apply_all};
use super::{Op, Storage};
use crate::{Result, StudyRecord, TrialRecord};

/// Keeps nothing beyond the process.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Replay>);

impl Memory {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    fn replay(&self) -> std::sync::MutexGuard<'_, Replay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Memory {
    fn studies(&self) -> Result<Vec<StudyRecord>> {
        Ok(self.replay().studies())
    }

    fn trials(&self, study: u64) -> Result<Vec<Arc<TrialRecord>>> {
        self.replay().trials(study)
    }

    fn is_lasting(&self) -> bool {
        false
    }

    fn commit(&self, ops: &[Op]) -> Result<Option<u64>> {
        let mut replay = self.replay();
        if let [op] = ops {
            return replay.apply(op);
        }
        // A copy is cheap: trials are shared.
        let mut changed = replay.clone();
        let last = apply_all(ops, |op| changed.apply(op))?;
        *replay = changed;
        Ok(last)
    }
}
