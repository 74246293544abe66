//! The training loop.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use counterweight_core::{derive, ensure};
use counterweight_encoder::trainable;

use super::checkpoint::{Checkpoint, State};
use super::optimizer::{LayerRates, Optimizer, OptimizerConfig, lbfgs_step};
use super::{Epoch, TrainOptions};
use crate::{Error, Result};

/// The stream of the seed from which steps draw.
const STEP: u64 = 4;

/// Steps between two looks at the loss, since each waits for the device.
const REPORT_EVERY: usize = 16;

/// What a [`Trainer`] trains: batches, their loss and the score that chooses the epoch.
pub trait Task {
    /// The model, on a device that differentiates.
    type Model: Module;

    /// Begins an epoch and gives its batches, none of them empty, as rows of the training data. It
    /// must give the same
    /// for the same epoch, also in another process, or a resumed run is another run.
    fn batches(&mut self, epoch: usize) -> Vec<Vec<usize>>;

    /// The number of batches an epoch is taken to have by schedule and progress, at least 1.
    fn batches_per_epoch(&self) -> usize;

    /// The loss of a batch, a tensor of one number. The device's generator, from which dropout
    /// draws, was started with the seed; what is drawn elsewhere should come from it too.
    ///
    /// # Errors
    /// Whatever ends the training.
    fn loss(&mut self, model: &Self::Model, rows: &[usize], seed: u64) -> Result<Tensor<1>>;

    /// The gradients of a loss.
    fn gradients(&mut self, loss: Tensor<1>, model: &Self::Model) -> GradientsParams {
        GradientsParams::from_grads(loss.backward(), model)
    }

    /// The score of a model, without gradients, on data it was not trained on. Greater is better:
    /// the model of the best epoch is kept, and training ends after epochs without improvement.
    /// NaN is refused.
    ///
    /// # Errors
    /// Whatever ends the training.
    fn score(&mut self, model: &Self::Model) -> Result<f64>;

    /// What the score is called in the last line of progress.
    fn score_name(&self) -> String {
        "score".to_owned()
    }

    /// Names the task for a checkpoint: how it is configured, and a number that differs for other
    /// data. A checkpoint of another task is not continued.
    fn identity(&self) -> (String, u64) {
        (String::new(), 0)
    }

    /// What the task keeps from batch to batch, for a checkpoint.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes it back.
    fn set_state(&mut self, _state: &[f64]) {}
}

/// Trains any model on any [`Task`]: epochs of batches with warm-up and decay, clipping,
/// accumulation and layer-wise rates, the best epoch kept, patience, checkpoints that resume to
/// the same result, progress and interruption.
///
/// [`train`](crate::train()) is this on a recipe's task. A model of your own takes a task of
/// your own:
///
/// ```
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::{Device, Tensor};
/// use counterweight::prelude::*;
///
/// /// y = 2 x, from eight points.
/// struct Line(Tensor<2>);
///
/// impl Task for Line {
///     type Model = Linear;
///
///     fn batches(&mut self, _epoch: usize) -> Vec<Vec<usize>> {
///         vec![(0..8).collect()]
///     }
///
///     fn batches_per_epoch(&self) -> usize {
///         1
///     }
///
///     fn loss(&mut self, model: &Linear, _: &[usize], _: u64) -> counterweight::Result<Tensor<1>> {
///         let error = model.forward(self.0.clone()) - self.0.clone() * 2.0;
///         Ok((error.clone() * error).mean())
///     }
///
///     fn score(&mut self, model: &Linear) -> counterweight::Result<f64> {
///         Ok(-(f64::from(model.weight.val().into_scalar::<f32>()) - 2.0).abs())
///     }
/// }
///
/// let device = Device::flex().autodiff();
/// let x = Tensor::<1>::from_floats([-4., -3., -2., -1., 1., 2., 3., 4.], &device);
/// let optimizer = OptimizerConfig { learning_rate: 0.1, weight_decay: 0.0, ..Default::default() };
/// let trainer = Trainer::new(optimizer).with_epochs(60).with_patience(60);
/// let model = LinearConfig::new(1, 1).init(&device);
/// let fitted = trainer.fit(&mut Line(x.unsqueeze_dim(1)), model, &device, &TrainOptions::new())?;
/// assert!(fitted.history[fitted.best_epoch].dev > -0.05);
/// # Ok::<(), counterweight::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trainer {
    optimizer: OptimizerConfig,
    epochs: usize,
    patience: usize,
    seed: u64,
}

/// A trained model and how it came about.
#[derive(Debug, Clone)]
pub struct Fitted<M> {
    /// The model of the best epoch, without gradients.
    pub model: M,
    /// All epochs.
    pub history: Vec<Epoch>,
    /// The epoch the model is of.
    pub best_epoch: usize,
    /// The number of weights that were trained, and of all.
    pub weights: (usize, usize),
}

impl Trainer {
    /// 8 epochs at most, patience of 3, seed 0.
    #[must_use]
    pub fn new(optimizer: OptimizerConfig) -> Self {
        Self { optimizer, epochs: 8, patience: 3, seed: 0 }
    }

    /// Sets the most epochs, at least 1. Default: 8.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the epochs without improvement before training ends, at least 1. Default: 3.
    #[must_use]
    pub fn with_patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the seed of the steps. Default: 0.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Trains a model that lives on the device with autodiff.
    ///
    /// # Errors
    /// For a parameter out of range, a model without a weight to train, the task's own or an empty
    /// batch of it, a diverging loss, a score that is NaN, an interruption, a device that another
    /// process serves and that is lost, or a checkpoint that cannot be written or is of another
    /// run.
    pub fn fit<T: Task>(
        &self,
        task: &mut T,
        model: T::Model,
        device: &Device,
        options: &TrainOptions,
    ) -> Result<Fitted<T::Model>> {
        options.guarded(device, || self.run(task, model, device, options))
    }

    fn run<T: Task>(
        &self,
        task: &mut T,
        mut model: T::Model,
        device: &Device,
        options: &TrainOptions,
    ) -> Result<Fitted<T::Model>> {
        let range = counterweight_core::Error::from;
        for (name, value) in [
            ("epochs", self.epochs),
            ("patience", self.patience),
            ("batches_per_epoch", task.batches_per_epoch()),
        ] {
            ensure(name, value as f64, value >= 1, "[1, inf)").map_err(range)?;
        }
        let mut optimizer = self.optimizer.init()?;
        let weights = trainable(&model);
        let trained = weights.0;
        ensure("trained weights", trained as f64, trained >= 1, "[1, inf)").map_err(range)?;

        let mut best = model.valid();
        let mut state = State::default();
        let checkpoint = options.checkpoint.as_ref().map(|dir| {
            let (name, data) = task.identity();
            Checkpoint::new(dir, format!("{self:?}\n{name}"), data)
        });
        if let Some(checkpoint) = &checkpoint {
            let saved = if options.resume { checkpoint.load()? } else { None };
            match saved {
                Some(saved) => {
                    task.set_state(saved.task_state());
                    (model, best, optimizer, state) = saved.restore(model, best, optimizer)?;
                }
                None => checkpoint.save(&model, &best, &optimizer, &state, task.state())?,
            }
        }
        let total = (self.epochs * task.batches_per_epoch()) as u64;
        options.progress.start("training", total);
        while !self.finished(&state) {
            let epoch = state.history.len();
            let (next, loss) = self.epoch(task, model, &mut optimizer, &state, device, options)?;
            model = next;
            let valid = model.valid();
            let dev = task.score(&valid)?;
            ensure("score", dev, !dev.is_nan(), "numbers").map_err(range)?;
            if state.history.iter().all(|e| dev > e.dev) {
                state.best_epoch = epoch;
                best = valid;
            }
            options.progress.metric("dev", &task.score_name(), dev);
            state.history.push(Epoch { loss, dev });
            if let Some(checkpoint) = &checkpoint {
                checkpoint.save(&model, &best, &optimizer, &state, task.state())?;
            }
        }
        let best_dev = state.history.get(state.best_epoch).map_or(0.0, |e| e.dev);
        options.progress.finish(&format!("{} {best_dev:.4}", task.score_name()));
        Ok(Fitted { model: best, history: state.history, best_epoch: state.best_epoch, weights })
    }

    fn finished(&self, state: &State) -> bool {
        let done = state.history.len();
        done >= self.epochs || (done > 0 && done - 1 - state.best_epoch >= self.patience)
    }

    fn epoch<T: Task>(
        &self,
        task: &mut T,
        mut model: T::Model,
        optimizer: &mut Optimizer,
        state: &State,
        device: &Device,
        options: &TrainOptions,
    ) -> Result<(T::Model, f64)> {
        let epoch = state.history.len();
        let batches = task.batches(epoch);
        if batches.is_empty() || batches.iter().any(Vec::is_empty) {
            return Err(counterweight_core::Error::Empty { what: "a task's batches" }.into());
        }
        let per_epoch = task.batches_per_epoch();
        let together = self.optimizer.accumulate;
        let steps = per_epoch.div_ceil(together);
        let rates = LayerRates::new(&model, &self.optimizer);
        let dev = state.history.last().map_or(String::new(), |e| format!(" dev {:.4}", e.dev));
        let mut sum = Tensor::<1>::zeros([1], &device.clone().without_autodiff());
        let mut seen = 0;
        let count = batches.len().div_ceil(together);
        for (i, batches) in batches.chunks(together).enumerate() {
            let last = i + 1 == count;
            if options.stopped() {
                return Err(Error::Interrupted { during: format!("training, epoch {epoch}") });
            }
            let first = epoch * per_epoch + i * together;
            let schedule = self.optimizer.schedule.factor(epoch * steps + i, self.epochs * steps);
            let rate = self.optimizer.learning_rate * schedule;
            let rows: usize = batches.iter().map(Vec::len).sum();
            let loss_of = |task: &mut T, model: &T::Model, number: usize| {
                let seed = derive(derive(self.seed, STEP), (first + number) as u64);
                device.seed(seed);
                task.loss(model, &batches[number], seed)
            };
            match optimizer {
                Optimizer::Each { rule, clip } => {
                    let mut gradients = GradientsAccumulator::new();
                    for (number, batch) in batches.iter().enumerate() {
                        let mut loss = loss_of(task, &model, number)?;
                        sum = sum + loss.clone().inner() * batch.len() as f64;
                        if batches.len() > 1 {
                            loss = loss * (batch.len() as f64 / rows as f64);
                        }
                        let own = task.gradients(loss, &model);
                        gradients.accumulate(&model, own);
                    }
                    model = rates.step(rule, *clip, rate, model, gradients.grads())?;
                }
                Optimizer::Lbfgs(rule) => {
                    let (next, loss) = lbfgs_step(rule, rate, model, |model| {
                        let loss = loss_of(task, model, 0)?;
                        let value = read(loss.clone().inner())?;
                        Ok((value, task.gradients(loss, model)))
                    })?;
                    model = next;
                    sum = sum + loss * rows as f64;
                }
            }
            seen += rows;
            if i % REPORT_EVERY == 0 || last {
                let mean = read(sum.clone())? / seen as f64;
                let done = (first + batches.len()) as u64;
                options.progress.update(done, &format!("loss {mean:.4}{dev}"));
                options.progress.metric("train", "loss", mean);
                if !mean.is_finite() {
                    return Err(Error::Diverged {
                        epoch,
                        loss: mean,
                        learning_rate: self.optimizer.learning_rate,
                    });
                }
            }
        }
        Ok((model, read(sum)? / seen as f64))
    }
}

fn read(value: Tensor<1>) -> Result<f64> {
    value.try_into_scalar::<f64>().map_err(|e| Error::Device { reason: e.to_string() })
}
