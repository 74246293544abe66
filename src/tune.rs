//! Searching for a recipe.

use std::path::PathBuf;

use burn::tensor::Device;
use counterweight_metrics::Error::FloorUnreachable;
use counterweight_metrics::Metric;
use counterweight_tuner::{GaussianProcess, Study, TrialRecord};

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
    /// 40 trials, 10 of them random, macro-F1 on dev.
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

    /// Sets the number of random trials before the model is used, at least 2.
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
/// decision cannot reach the recipe's floor scores the (negative) distance to it.
///
/// # Errors
/// For a bad recipe or space, when a trial's training fails, or when the stop flag is set.
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
    let mut study = Study::maximize(tuning.maximize.name())
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
        for (name, distribution) in space.space().iter() {
            trial.suggest(name, distribution.clone())?;
        }
        let recipe = space.recipe(base, trial.params())?;
        let quiet = match options.stop_flag() {
            Some(stop) => TrainOptions::new().with_stop_flag(stop.clone()),
            None => TrainOptions::new(),
        };
        let trained = match train_prepared(&recipe, &prepared, device, &quiet) {
            // Feasible first: an unreachable floor scores below every metric, by how much
            // it was missed.
            Err(Error::Metrics(FloorUnreachable { at_least, best, .. })) => {
                return Ok(best - at_least);
            }
            trained => trained?,
        };
        let dev = trained.model.evaluate(&data.dev)?;
        let value = dev.tally().metric(tuning.maximize, &data.profile);
        let sign = if tuning.maximize.higher_is_better() { 1.0 } else { -1.0 };
        Ok(sign * value.unwrap_or(f64::NAN))
    })?;
    if study.trials().count() < tuning.trials && options.stopped() {
        return Err(Error::Interrupted { during: "the search".to_owned() });
    }
    let best = study.best().map(|t| space.recipe(base, &t.params)).transpose()?;
    Ok(Tuned { best, trials: study.trials().cloned().collect() })
}
