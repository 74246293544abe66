//! Searching for a recipe.

use std::path::PathBuf;

use burn::tensor::Device;
use counterweight_metrics::Error::FloorUnreachable;
use counterweight_metrics::Metric;
use counterweight_tuner::{Direction, GaussianProcess, Study, TrialRecord};

use crate::{
    Error, Prepared, Recipe, RecipeSpace, Result, TextSplits, TrainOptions, train_prepared,
};

/// How a search runs.
#[derive(Debug, Clone)]
pub struct TuneOptions {
    trials: usize,
    startup: usize,
    maximize: Metric,
    journal: Option<PathBuf>,
    progress: bool,
}

impl Default for TuneOptions {
    fn default() -> Self {
        Self { trials: 40, startup: 10, maximize: Metric::MacroF1, journal: None, progress: false }
    }
}

impl TuneOptions {
    /// 40 trials, 10 of them quasi-random, macro-F1 on dev.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of trials.
    #[must_use]
    pub fn with_trials(mut self, trials: usize) -> Self {
        self.trials = trials;
        self
    }

    /// Sets the number of quasi-random trials before the model is used, at least 2.
    #[must_use]
    pub fn with_startup(mut self, startup: usize) -> Self {
        self.startup = startup;
        self
    }

    /// Sets the metric, computed on dev after the recipe's decision.
    #[must_use]
    pub fn with_maximize(mut self, metric: Metric) -> Self {
        self.maximize = metric;
        self
    }

    /// Keeps the study in a file, from which it continues.
    #[must_use]
    pub fn with_journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Shows a bar on standard error.
    #[must_use]
    pub fn with_progress(mut self) -> Self {
        self.progress = true;
        self
    }
}

/// The result of a search.
#[derive(Debug, Clone)]
pub struct Tuned {
    /// The base recipe with the best trial's parameters; `None` when no trial completed.
    pub best: Option<Recipe>,
    /// All trials.
    pub trials: Vec<TrialRecord>,
}

/// Searches a recipe space by Gaussian-process Bayesian optimisation: trains each
/// recipe and scores it on dev.
///
/// The base recipe gives everything the space does not name: the seed, and the small
/// budget of each trial (`epochs`). A stop flag in `options` ends the search between or
/// within trials; with a journal it then continues where it stopped. A trial whose
/// decision cannot reach the recipe's floor breaks a constraint by what it misses, and comes after all others.
///
/// # Errors
/// For a bad recipe or space, when no trial completes, or when the stop flag is set. A
/// trial whose training fails is recorded as failed, and the search goes on.
pub fn tune(
    space: &RecipeSpace,
    base: &Recipe,
    data: &TextSplits,
    device: &Device,
    tuning: &TuneOptions,
    options: &TrainOptions,
) -> Result<Tuned> {
    base.check()?;
    space.space().check()?;
    let prepared = Prepared::new(&base.encoder, data)?;
    let direction = match tuning.maximize.higher_is_better() {
        true => Direction::Maximize,
        false => Direction::Minimize,
    };
    let mut study = Study::new(tuning.maximize.name(), [direction])
        .suggester(GaussianProcess::new().with_startup(tuning.startup))
        .seed(base.seed)
        .space(space.space().clone());
    if let Some(stop) = options.stop_flag() {
        study = study.stop_flag(stop.clone());
    }
    if tuning.progress {
        study = study.progress();
    }
    if let Some(path) = &tuning.journal {
        study = study.journal(path)?;
    }
    study.optimize(tuning.trials, |trial| {
        trial.suggest_all(space.space())?;
        let recipe = space.recipe(base, trial.params())?;
        let quiet = match options.stop_flag() {
            Some(stop) => TrainOptions::new().with_stop_flag(stop.clone()),
            None => TrainOptions::new(),
        };
        let trained = match train_prepared(&recipe, &prepared, device, &quiet) {
            // Feasible first: an unreachable floor comes after every metric, by how much
            // it was missed.
            Err(Error::Metrics(FloorUnreachable { at_least, best, .. })) => {
                trial.set_constraint("floor", at_least - best)?;
                return Ok(direction.loss(at_least - best));
            }
            trained => trained?,
        };
        let dev = trained.model.evaluate(&data.dev)?;
        let value = dev.tally().metric(tuning.maximize, &data.profile);
        Ok(value.unwrap_or(f64::NAN))
    })?;
    let trials = study.trials()?;
    let ended = trials.iter().filter(|t| t.state.is_ended()).count();
    if ended < tuning.trials && options.stopped() {
        return Err(Error::Interrupted { during: "the search".to_owned() });
    }
    let best = study.best()?.map(|t| space.recipe(base, &t.params)).transpose()?;
    if best.is_none()
        && let Some(failed) = trials.iter().find(|t| t.reason().is_some())
    {
        let reason = failed.reason().unwrap_or_default().to_owned();
        return Err(Error::NoTrial { number: failed.number, reason });
    }
    Ok(Tuned { best, trials: trials.iter().map(|t| (**t).clone()).collect() })
}
