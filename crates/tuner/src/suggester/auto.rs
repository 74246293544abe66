use super::{GaussianProcess, Suggester, Task, Tpe};
use crate::{Params, Result, State};

/// Ended trials from which on the Parzen estimator takes over.
const MOST_TRIALS: usize = 1000;
/// Parameters that the Gaussian process is trusted with.
const MOST_PARAMETERS: usize = 60;

/// The default: chooses by the study.
///
/// [`GaussianProcess`], whose trust region sees to rugged functions, up to 1,000 ended
/// trials and 60 parameters; [`Tpe`] beyond.
#[derive(Debug, Default)]
pub struct Auto {
    gp: GaussianProcess,
    tpe: Tpe,
}

impl Auto {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Suggester for Auto {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        let told = || task.history.iter().filter(|t| t.state != State::Waiting);
        let latest = task.history.iter().rev().find(|t| t.state.is_ended());
        let parameters =
            task.space.map_or_else(|| latest.map_or(0, |t| t.params.len()), |s| s.len());
        if told().count() > MOST_TRIALS || parameters > MOST_PARAMETERS {
            self.tpe.suggest(task)
        } else {
            self.gp.suggest(task)
        }
    }
}
