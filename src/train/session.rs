//! The training loop.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor};
use counterweight_augment::Batch;
use counterweight_core::{derive, rng};
use counterweight_encoder::{AdamW, Encoded, TextBatch, TextClassifier, length_buckets, trainable};
use counterweight_losses::{BatchInfo, Loss, Targets};
use counterweight_metrics::Predictions;
use counterweight_samplers::IndexSampler;
use rand::seq::SliceRandom;

use super::augmentation::Augmentation;
use super::checkpoint::{Checkpoint, State};
use super::replicas::Replicas;
use super::{Epoch, Prepared, TrainOptions, Trained};
use crate::model::probabilities;
use crate::{Error, Model, OptimizerKind, Recipe, Result};

/// Streams of the recipe's seed.
mod stream {
    pub(super) const MODEL: u64 = 1;
    pub(super) const SAMPLER: u64 = 2;
    pub(super) const BUCKETS: u64 = 3;
    pub(super) const STEP: u64 = 4;
    pub(super) const PARTNERS: u64 = 5;
}

/// Steps between two looks at the loss, since each waits for the device.
const REPORT_EVERY: usize = 16;

pub(super) struct Session<'a> {
    recipe: &'a Recipe,
    data: &'a Prepared<'a>,
    options: &'a TrainOptions,
    device: Device,
    plain: Device,
    loss: Box<dyn Loss>,
    sampler: Box<dyn IndexSampler>,
    augmentation: Augmentation,
    replicas: Replicas,
    lengths: Vec<usize>,
    steps_per_epoch: usize,
    checkpoint: Option<Checkpoint>,
}

impl<'a> Session<'a> {
    pub(super) fn start(
        recipe: &'a Recipe,
        data: &'a Prepared<'a>,
        device: &Device,
        options: &'a TrainOptions,
    ) -> Result<Self> {
        if data.config() != &recipe.encoder {
            return Err(Error::Recipe {
                reason: "the data were prepared for another encoder".to_owned(),
            });
        }
        let plain = device.clone().without_autodiff();
        let tracked = plain.clone().autodiff();
        Ok(Self {
            loss: recipe.loss.init(data.profile(), &tracked)?,
            sampler: recipe
                .sampler
                .init(data.train_labels(), derive(recipe.seed, stream::SAMPLER))?,
            augmentation: Augmentation::new(
                &recipe.augment,
                data.profile(),
                data.train_labels(),
                derive(recipe.seed, stream::PARTNERS),
            )?,
            replicas: Replicas::new(&tracked, &options.devices),
            lengths: data.train().iter().map(Encoded::len).collect(),
            steps_per_epoch: data.train().len().div_ceil(recipe.batch_size),
            checkpoint: (options.checkpoint.as_ref())
                .map(|dir| Checkpoint::new(dir, recipe, data.train_labels())),
            recipe,
            data,
            options,
            device: tracked,
            plain,
        })
    }

    pub(super) fn run(mut self) -> Result<Trained> {
        let mut model = TextClassifier::new(
            &self.recipe.encoder,
            self.data.featurizer(),
            self.data.profile().classes(),
            self.recipe.dropout,
            derive(self.recipe.seed, stream::MODEL),
            &self.device,
        )?;
        let weights = trainable(&model);
        let mut optimizer = self.optimizer()?;
        let mut best = model.valid();
        let mut state = State::default();
        if let Some(checkpoint) = &self.checkpoint {
            let saved = if self.options.resume { checkpoint.load()? } else { None };
            match saved {
                Some(saved) => {
                    self.loss.set_state(saved.loss_state());
                    (model, best, optimizer, state) = saved.restore(model, best, optimizer)?;
                }
                None => checkpoint.save(&model, &best, &optimizer, &state, self.loss.state())?,
            }
        }
        let progress = self.options.progress.clone();
        let total = (self.recipe.epochs * self.steps_per_epoch) as u64;
        progress.start("training", total);
        while !self.finished(&state) {
            let epoch = state.history.len();
            self.loss.set_epoch(epoch);
            let (next, loss) = self.epoch(model, &mut optimizer, epoch, &state)?;
            model = next;
            let valid = model.valid();
            let dev = self.dev_score(&valid)?;
            if state.history.iter().all(|e| dev > e.dev) {
                state.best_epoch = epoch;
                best = valid;
            }
            state.history.push(Epoch { loss, dev });
            if let Some(checkpoint) = &self.checkpoint {
                checkpoint.save(&model, &best, &optimizer, &state, self.loss.state())?;
            }
        }
        let best_dev = state.history.get(state.best_epoch).map_or(0.0, |e| e.dev);
        progress.finish(&format!("dev {} {best_dev:.4}", self.recipe.select));
        Ok(Trained {
            model: Model::new(
                best,
                self.data.shape().clone(),
                self.data.featurizer().clone(),
                self.data.labels().clone(),
                self.data.profile().clone(),
                self.recipe.clone(),
                self.plain,
            ),
            history: state.history,
            best_epoch: state.best_epoch,
            weights,
        })
    }

    fn finished(&self, state: &State) -> bool {
        let done = state.history.len();
        done >= self.recipe.epochs
            || (done > 0 && done - 1 - state.best_epoch >= self.recipe.patience)
    }

    fn optimizer(&self) -> Result<ModuleOptimizer> {
        let config = &self.recipe.optimizer;
        let clip = Some(GradientClippingConfig::Norm(config.clip_norm as f32));
        Ok(match config.kind {
            OptimizerKind::Adamw => AdamW::new()
                .with_weight_decay(config.weight_decay)
                .init()?
                .with_grad_clipping(GradientClippingConfig::Norm(config.clip_norm as f32).init()),
            OptimizerKind::Sgd => SgdConfig::new()
                .with_momentum(Some(MomentumConfig {
                    momentum: 0.9,
                    dampening: 0.0,
                    nesterov: false,
                }))
                .with_weight_decay(Some(WeightDecayConfig { penalty: config.weight_decay as f32 }))
                .with_gradient_clipping(clip)
                .init(),
        })
    }

    fn epoch(
        &mut self,
        mut model: TextClassifier,
        optimizer: &mut ModuleOptimizer,
        epoch: usize,
        state: &State,
    ) -> Result<(TextClassifier, f64)> {
        let seed = self.recipe.seed;
        let mut bucket_rng = rng(derive(derive(seed, stream::BUCKETS), epoch as u64));
        let rows = self.sampler.epoch(epoch);
        if epoch + self.recipe.clean_epochs >= self.recipe.epochs {
            self.augmentation = Augmentation::None;
        }
        self.augmentation.begin_epoch(epoch);
        let batches = length_buckets(&rows, &self.lengths, self.recipe.batch_size, |n| {
            let mut order: Vec<usize> = (0..n).collect();
            order.shuffle(&mut bucket_rng);
            order
        });
        let total = self.recipe.epochs * self.steps_per_epoch;
        let dev = state.history.last().map_or(String::new(), |e| format!(" dev {:.4}", e.dev));
        let mut sum = Tensor::<1>::zeros([1], &self.plain);
        let mut seen = 0;
        for (i, rows) in batches.iter().enumerate() {
            if self.options.stopped() {
                return Err(Error::Interrupted { during: format!("training, epoch {epoch}") });
            }
            let step = epoch * self.steps_per_epoch + i;
            let step_seed = derive(derive(seed, stream::STEP), step as u64);
            // Burn's dropout layers draw from the device's generator.
            self.replicas.seed(step_seed);
            let (loss, logits, targets) = self.batch_loss(&model, rows, step_seed)?;
            sum = sum + loss.clone().inner() * rows.len() as f64;
            seen += rows.len();
            let gradients = self.replicas.gradients(loss.backward(), &model);
            let rate = self.recipe.optimizer.learning_rate
                * self.recipe.optimizer.schedule.factor(step, total);
            model = optimizer.step(rate, model, gradients);
            self.loss.end_batch(logits, &targets);
            if i % REPORT_EVERY == 0 || i + 1 == batches.len() {
                let mean = read(sum.clone())? / seen as f64;
                self.options.progress.update(step as u64 + 1, &format!("loss {mean:.4}{dev}"));
                if !mean.is_finite() {
                    return Err(Error::Diverged {
                        epoch,
                        loss: mean,
                        learning_rate: self.recipe.optimizer.learning_rate,
                    });
                }
            }
        }
        Ok((model, read(sum)? / seen as f64))
    }

    /// The loss, and what it saw: logits without gradient and targets.
    fn batch_loss(
        &mut self,
        model: &TextClassifier,
        rows: &[usize],
        seed: u64,
    ) -> Result<(Tensor<1>, Tensor<2>, Targets)> {
        let (data, device) = (self.data, self.device.clone());
        let labels = data.train_labels();
        let classes = data.profile().classes();
        let labels_of = |rows: &[usize]| rows.iter().map(|&row| labels[row]).collect::<Vec<_>>();
        let targets_of = |rows: &[usize]| Targets::from_ids(&labels_of(rows), &device);
        let dense =
            |rows: &[usize]| targets_of(rows).dense(&Tensor::zeros([rows.len(), classes], &device));
        let batch_of = |rows: &[usize]| {
            let texts: Vec<&Encoded> = rows.iter().map(|&row| &data.train()[row]).collect();
            TextBatch::new(&texts, &device)
        };
        let changed =
            self.augmentation.texts(data.train_texts(), rows, labels, data.featurizer(), seed)?;
        let mut batch = match &changed {
            Some(texts) => TextBatch::new(&texts.iter().collect::<Vec<_>>(), &device),
            None => batch_of(rows),
        };
        self.augmentation.tokens(&mut batch, || dense(rows), seed);
        let mut features = self.replicas.features(model, &batch, &labels_of(rows));
        let mut targets = targets_of(rows);
        let partners = self.augmentation.partners(rows.len()).map(|partners| {
            let labels = labels_of(&partners);
            Batch {
                features: self.replicas.features(model, &batch_of(&partners), &labels),
                targets: dense(&partners),
            }
        });
        let own = || Batch { features: features.clone(), targets: dense(rows) };
        if let Some(mixed) = self.augmentation.features(own, partners, seed) {
            features = mixed.features;
            targets = Targets::Soft(mixed.targets);
        }
        let fixed = features.clone().detach();
        let info = BatchInfo { rows: Some(rows), features: Some(&fixed), teacher: None };
        self.loss.begin_batch(&info);
        let logits = model.classify(features);
        let loss = self.loss.forward(logits.clone(), &targets, self.recipe.reduction);
        Ok((loss, logits.detach(), targets))
    }

    fn dev_score(&self, model: &TextClassifier) -> Result<f64> {
        let profile = self.data.profile();
        let p = probabilities(model, self.data.dev(), profile.classes(), &self.plain)?;
        let predictions = Predictions::new(self.data.dev_labels().to_vec(), p)?;
        let value = predictions.tally().metric(self.recipe.select, profile).unwrap_or(0.0);
        Ok(if self.recipe.select.higher_is_better() { value } else { -value })
    }
}

fn read(value: Tensor<1>) -> Result<f64> {
    value.try_into_scalar::<f64>().map_err(|e| Error::Device { reason: e.to_string() })
}
