//! Training by recipe.

mod augmentation;
mod checkpoint;
mod contrastive;
#[cfg(feature = "tui")]
mod dashboard;
mod gradients;
mod optimizer;
mod prepared;
mod replicas;
mod text_task;
mod trainer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use counterweight_core::{NoProgress, Progress};
use serde::{Deserialize, Serialize};

pub(crate) use augmentation::no_text;
pub use contrastive::ContrastiveConfig;
#[cfg(feature = "tui")]
pub use dashboard::Dashboard;
pub use optimizer::{ClipNorm, OptimizerConfig, OptimizerKind};
pub use prepared::Prepared;
pub use trainer::{Fitted, Task, Trainer};

use crate::{Model, Recipe, Result, TextSplits, device as devices};

/// What happened in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss.
    pub loss: f64,
    /// The recipe's selection metric on dev.
    pub dev: f64,
}

/// A trained model and how it came about.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model of the best epoch, with the recipe's decision.
    pub model: Model,
    /// All epochs.
    pub history: Vec<Epoch>,
    /// The epoch the model is of.
    pub best_epoch: usize,
    /// The number of weights that were trained, and of all.
    pub weights: (usize, usize),
}

/// How training runs, as opposed to what it computes.
#[derive(Clone)]
pub struct TrainOptions {
    progress: Arc<dyn Progress>,
    checkpoint: Option<PathBuf>,
    resume: bool,
    stop: Option<Arc<AtomicBool>>,
    devices: Vec<Device>,
}

impl fmt::Debug for TrainOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainOptions")
            .field("checkpoint", &self.checkpoint)
            .field("resume", &self.resume)
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            progress: Arc::new(NoProgress),
            checkpoint: None,
            resume: false,
            stop: None,
            devices: Vec::new(),
        }
    }
}

impl TrainOptions {
    /// Silent, without checkpoint.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports steps, loss and dev score.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Progress + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// Keeps a checkpoint in this directory, written before the first and after every
    /// epoch.
    #[must_use]
    pub fn with_checkpoint(mut self, dir: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(dir.into());
        self
    }

    /// Continues from the checkpoint if there is one. All draws are functions of seed,
    /// epoch and step, so the result is that of an uninterrupted run.
    #[must_use]
    pub fn with_resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Further devices, which share the encoder's work on each batch with the device that
    /// [`train`] is given: each computes, and goes back through, an even part of every class of
    /// the batch with a copy of the weights; head, loss and step stay on the first. The result is
    /// that of one device but for rounding, and, where the recipe drops units, for the draws. A
    /// batch with fewer rows than devices is the first's alone.
    #[must_use]
    pub fn with_devices(mut self, devices: impl IntoIterator<Item = Device>) -> Self {
        self.devices = devices.into_iter().collect();
        self
    }

    /// Stops with [`Error::Interrupted`](crate::Error::Interrupted) once the flag is set.
    #[must_use]
    pub fn with_stop_flag(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = Some(stop);
        self
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|s| s.load(Ordering::Relaxed))
    }

    /// [`devices::guarded`] for a training on this device first.
    pub(crate) fn guarded<T>(&self, first: &Device, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let all: Vec<Device> = std::iter::once(first).chain(&self.devices).cloned().collect();
        counterweight_core::pages::keep_freed();
        devices::guarded(&all, run)
    }

    pub(crate) fn stop_flag(&self) -> Option<&Arc<AtomicBool>> {
        self.stop.as_ref()
    }
}

/// Trains by a recipe and fits its decision on dev.
///
/// # Errors
/// For a bad recipe (before any work), a diverging loss, an interruption, a device that another
/// process serves and that is lost, or a checkpoint that cannot be written or is of another run.
pub fn train(
    recipe: &Recipe,
    data: &TextSplits,
    device: &Device,
    options: &TrainOptions,
) -> Result<Trained> {
    recipe.check()?;
    train_prepared(recipe, &Prepared::new(&recipe.encoder, data)?, device, options)
}

/// [`train`] on data already tokenised, for many recipes with one encoder.
///
/// # Errors
/// As [`train`], and when the recipe's encoder is not the prepared one.
pub fn train_prepared(
    recipe: &Recipe,
    data: &Prepared<'_>,
    device: &Device,
    options: &TrainOptions,
) -> Result<Trained> {
    recipe.check()?;
    options.guarded(device, || train_on(recipe, data, device, options))
}

/// [`train_prepared`] by a recipe that has been checked.
fn train_on(
    recipe: &Recipe,
    data: &Prepared<'_>,
    device: &Device,
    options: &TrainOptions,
) -> Result<Trained> {
    let mut task = text_task::TextTask::new(recipe, data, device, options)?;
    let (mut model, device) = (task.model()?, task.device());
    if let Some(pairs) = &recipe.contrastive {
        model = contrastive::fine_tune(pairs, recipe, data, model, &device, options)?;
    }
    task.keep_vectors(&model, options)?;
    if recipe.imprint {
        model = task.imprinted(model, options)?;
    }
    let fitted = recipe.trainer().fit(&mut task, model, &device, options)?;
    let model = Model::new(
        fitted.model,
        data.shape().clone(),
        data.featurizer().clone(),
        data.labels().clone(),
        data.profile().clone(),
        recipe.clone(),
        device.without_autodiff(),
    );
    let dev = model.evaluate_encoded(data.dev_labels(), data.dev())?;
    let decision = recipe.decision.fit(&dev, data.profile())?;
    Ok(Trained {
        model: model.with_decision(decision),
        history: fitted.history,
        best_epoch: fitted.best_epoch,
        weights: fitted.weights,
    })
}
