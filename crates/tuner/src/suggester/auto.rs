use super::{GaussianProcess, Suggester, Task};
use crate::{Params, Result};

/// The default: chooses by the study.
#[derive(Debug, Default)]
pub struct Auto {
    gp: GaussianProcess,
}

impl Auto {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Suggester for Auto {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        self.gp.suggest(task)
    }
}
