//! What a recipe trains.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use counterweight_augment::Batch;
use counterweight_core::{derive, ensure, rng};
use counterweight_encoder::{
    Encoded, Encoder, TextBatch, TextClassifier, length_buckets, trainable,
};
use counterweight_losses::{BatchInfo, Loss, Targets};
use counterweight_metrics::Predictions;
use counterweight_samplers::IndexSampler;
use rand::seq::SliceRandom;

use super::augmentation::Augmentation;
use super::replicas::{Replicas, row_numbers};
use super::{Prepared, Task, TrainOptions};
use crate::model::{probabilities, read_probabilities};
use crate::{Error, Recipe, Result};

/// Streams of the recipe's seed, beside the trainer's.
mod stream {
    pub(super) const MODEL: u64 = 1;
    pub(super) const SAMPLER: u64 = 2;
    pub(super) const BUCKETS: u64 = 3;
    pub(super) const PARTNERS: u64 = 5;
}

/// Texts whose vectors are computed at once.
const KEPT_AT_ONCE: usize = 256;

/// A classifier of texts under a recipe: its loss, sampler and augmenter.
pub(super) struct TextTask<'a> {
    recipe: &'a Recipe,
    data: &'a Prepared<'a>,
    device: Device,
    plain: Device,
    loss: Box<dyn Loss>,
    sampler: Box<dyn IndexSampler>,
    augmentation: Augmentation,
    replicas: Replicas,
    lengths: Vec<usize>,
    /// The vectors of the training and dev texts, of an encoder that is not trained.
    kept: Option<[Tensor<2>; 2]>,
}

impl<'a> TextTask<'a> {
    pub(super) fn new(
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
        let classes = data.profile().classes();
        ensure("classes", classes as f64, classes >= 2, "[2, inf)")
            .map_err(counterweight_core::Error::from)?;
        let empty = data.profile().counts().iter().position(|&n| n == 0);
        if let (true, Some(class)) = (recipe.imprint, empty) {
            let name = &data.profile().names()[class];
            let reason = format!("imprint: no training text has the class {name:?}");
            return Err(Error::Recipe { reason });
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
            kept: None,
            recipe,
            data,
            device: tracked,
            plain,
        })
    }

    /// The model as it begins.
    pub(super) fn model(&self) -> Result<TextClassifier> {
        Ok(TextClassifier::new(
            &self.recipe.encoder,
            self.data.featurizer(),
            &self.recipe.head(self.data.profile().classes()),
            derive(self.recipe.seed, stream::MODEL),
            &self.device,
        )?)
    }

    /// Computes the texts' vectors once where they will not change.
    pub(super) fn keep_vectors(
        &mut self,
        model: &TextClassifier,
        options: &TrainOptions,
    ) -> Result<()> {
        let (train, dev) = (self.data.train(), self.data.dev());
        let changing = trainable(model.encoder()).0 > 0 || self.augmentation.changes_input();
        if changing || train.is_empty() || dev.is_empty() {
            return Ok(());
        }
        let model = model.valid();
        options.progress.start("vectors", (train.len() + dev.len()) as u64);
        let train_vectors = self.vectors(&model, train, 0, options)?;
        self.kept = Some([train_vectors, self.vectors(&model, dev, train.len(), options)?]);
        options.progress.finish("");
        Ok(())
    }

    /// The model with the classes' mean vectors in its head.
    pub(super) fn imprinted(
        &self,
        model: TextClassifier,
        options: &TrainOptions,
    ) -> Result<TextClassifier> {
        let vectors = match &self.kept {
            Some([train, _]) => train.clone(),
            None => {
                let train = self.data.train();
                options.progress.start("vectors", train.len() as u64);
                let vectors = self.vectors(&model.valid(), train, 0, options)?;
                options.progress.finish("");
                vectors
            }
        };
        let means = model.class_means_of(vectors, self.data.train_labels())?;
        Ok(model.with_class_vectors(&means)?)
    }

    /// The vectors of texts, in their order; texts of similar length are computed together.
    fn vectors(
        &self,
        model: &TextClassifier,
        texts: &[Encoded],
        before: usize,
        options: &TrainOptions,
    ) -> Result<Tensor<2>> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&row| texts[row].len());
        let mut parts = Vec::new();
        for (number, rows) in order.chunks(KEPT_AT_ONCE).enumerate() {
            if options.stopped() {
                return Err(Error::Interrupted { during: "the texts' vectors".to_owned() });
            }
            let chosen: Vec<&Encoded> = rows.iter().map(|&row| &texts[row]).collect();
            parts.push(model.encoder().encode(&TextBatch::new(&chosen, &self.plain)));
            let done = before + number * KEPT_AT_ONCE + rows.len();
            options.progress.update(done as u64, "");
        }
        let mut places = vec![0; texts.len()];
        order.into_iter().enumerate().for_each(|(place, row)| places[row] = place);
        Ok(Tensor::cat(parts, 0).select(0, row_numbers(&places, &self.plain)))
    }

    /// The device that differentiates, on which the model lives.
    pub(super) fn device(&self) -> Device {
        self.device.clone()
    }
}

impl Task for TextTask<'_> {
    type Model = TextClassifier;

    fn batches(&mut self, epoch: usize) -> Vec<Vec<usize>> {
        self.loss.set_epoch(epoch);
        let seed = derive(derive(self.recipe.seed, stream::BUCKETS), epoch as u64);
        let mut bucket_rng = rng(seed);
        let rows = self.sampler.epoch(epoch);
        if epoch + self.recipe.clean_epochs >= self.recipe.epochs {
            self.augmentation = Augmentation::None;
        }
        self.augmentation.begin_epoch(epoch);
        length_buckets(&rows, &self.lengths, self.recipe.batch_size, |n| {
            let mut order: Vec<usize> = (0..n).collect();
            order.shuffle(&mut bucket_rng);
            order
        })
    }

    fn batches_per_epoch(&self) -> usize {
        self.data.train().len().div_ceil(self.recipe.batch_size)
    }

    fn loss(&mut self, model: &TextClassifier, rows: &[usize], seed: u64) -> Result<Tensor<1>> {
        self.replicas.seed(seed);
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
        let kept = |rows: &[usize]| {
            let [train, _] = self.kept.as_ref()?;
            let vectors = train.clone().select(0, row_numbers(rows, &self.plain));
            Some(model.drop_out(Tensor::from_inner(vectors)))
        };
        let mut features = match kept(rows) {
            Some(features) => features,
            None => {
                let changed = self.augmentation.texts(
                    data.train_texts(),
                    rows,
                    labels,
                    data.featurizer(),
                    seed,
                )?;
                let mut batch = match &changed {
                    Some(texts) => TextBatch::new(&texts.iter().collect::<Vec<_>>(), &device),
                    None => batch_of(rows),
                };
                self.augmentation.tokens(&mut batch, || dense(rows), seed);
                self.replicas.features(model, &batch, &labels_of(rows))
            }
        };
        let mut targets = targets_of(rows);
        let partners = self.augmentation.partners(rows.len()).map(|partners| {
            let features = match kept(&partners) {
                Some(features) => features,
                None => {
                    let labels = labels_of(&partners);
                    self.replicas.features(model, &batch_of(&partners), &labels)
                }
            };
            Batch { features, targets: dense(&partners) }
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
        self.loss.end_batch(logits.detach(), &targets);
        Ok(loss)
    }

    fn gradients(&mut self, loss: Tensor<1>, model: &TextClassifier) -> GradientsParams {
        self.replicas.gradients(loss.backward(), model)
    }

    fn score(&mut self, model: &TextClassifier) -> Result<f64> {
        let profile = self.data.profile();
        let p = match &self.kept {
            Some([_, dev]) => read_probabilities(model.classify(dev.clone()))?,
            None => probabilities(model, self.data.dev(), profile.classes(), &self.plain)?,
        };
        let predictions = Predictions::new(self.data.dev_labels().to_vec(), p)?;
        let value = predictions.tally().metric(self.recipe.select, profile).unwrap_or(0.0);
        Ok(if self.recipe.select.higher_is_better() { value } else { -value })
    }

    fn score_name(&self) -> String {
        format!("dev {}", self.recipe.select)
    }

    fn identity(&self) -> (String, u64) {
        // The labels are enough to notice another split or file.
        let labels = self.data.train_labels();
        let data = labels.iter().fold(labels.len() as u64, |h, &l| derive(h, l as u64));
        let recipe = self.recipe.to_toml();
        (recipe.unwrap_or_else(|_| format!("{:?}", self.recipe)), data)
    }

    fn state(&self) -> Vec<f64> {
        self.loss.state()
    }

    fn set_state(&mut self, state: &[f64]) {
        self.loss.set_state(state);
    }
}
