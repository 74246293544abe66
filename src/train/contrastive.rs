//! Fine-tuning of an encoder on pairs of texts, before there is a head.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use counterweight_core::{derive, ensure, rng};
use counterweight_encoder::{
    Encoded, Encoder, Schedule, TextBatch, TextClassifier, length_buckets,
};
use counterweight_kernels::normalized;
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{ClipNorm, OptimizerConfig, OptimizerKind, Prepared, Task, TrainOptions, Trainer};
use crate::{Recipe, Result};

/// The stream of the recipe's seed from which pairs are drawn.
const PAIRS: u64 = 6;

/// Contrastive fine-tuning for few labels, as SetFit does it (Tunstall et al. 2022): pairs of texts
/// of one class and of two are drawn, and the encoder learns to give them cosines of 1 and of 0:
/// the loss is `(cos(u, v) − y)²`. Then the recipe trains its head on the vectors.
///
/// Eight texts a class make some hundred pairs, so that a checkpoint can be fine-tuned on them. A
/// rare class has as many pairs for each text as a frequent one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastiveConfig {
    /// Pairs of each kind for each text and epoch, at least 1. Default: 20.
    pub pairs: usize,
    /// Epochs, at least 1; each draws other pairs. Default: 1.
    pub epochs: usize,
    /// Pairs of a step, at least 1. Default: 16.
    pub batch_size: usize,
    /// Peak rate of AdamW, positive. Default: 2e-5.
    pub learning_rate: f64,
    /// Whether the encoder is frozen afterwards, so that the recipe trains the head alone.
    /// Default: true.
    pub freeze: bool,
}

impl Default for ContrastiveConfig {
    fn default() -> Self {
        Self { pairs: 20, epochs: 1, batch_size: 16, learning_rate: 2e-5, freeze: true }
    }
}

impl ContrastiveConfig {
    /// Checks the fields' ranges.
    ///
    /// # Errors
    /// Naming the field, its value and the range.
    pub fn check(&self) -> Result<()> {
        let range = counterweight_core::Error::from;
        for (name, value) in [
            ("contrastive.pairs", self.pairs),
            ("contrastive.epochs", self.epochs),
            ("contrastive.batch_size", self.batch_size),
        ] {
            ensure(name, value as f64, value >= 1, "[1, inf)").map_err(range)?;
        }
        self.optimizer().check()
    }

    fn optimizer(&self) -> OptimizerConfig {
        OptimizerConfig {
            kind: OptimizerKind::Adamw,
            learning_rate: self.learning_rate,
            weight_decay: 0.01,
            clip: ClipNorm::Model,
            schedule: Schedule::default(),
            ..OptimizerConfig::default()
        }
    }
}

/// Fine-tunes a model's encoder on pairs of the training texts.
pub(super) fn fine_tune(
    config: &ContrastiveConfig,
    recipe: &Recipe,
    data: &Prepared<'_>,
    model: TextClassifier,
    device: &Device,
    options: &TrainOptions,
) -> Result<TextClassifier> {
    let mut task = PairTask {
        config,
        identity: recipe.to_toml().unwrap_or_else(|_| format!("{recipe:?}")),
        texts: data.train(),
        labels: data.train_labels(),
        seed: derive(recipe.seed, PAIRS),
        device: device.clone(),
        pairs: Vec::new(),
        epochs: 0,
    };
    let trainer = Trainer::new(config.optimizer())
        .with_epochs(config.epochs)
        .with_patience(config.epochs)
        .with_seed(task.seed);
    let mut options = options.clone();
    options.checkpoint = options.checkpoint.map(|dir| {
        let mut name = dir.file_name().unwrap_or_default().to_owned();
        name.push(".contrastive");
        dir.with_file_name(name)
    });
    let model = trainer.fit(&mut task, model, device, &options)?.model.train();
    Ok(if config.freeze { model.with_frozen_encoder() } else { model })
}

/// Two texts and whether they are of one class.
type Pair = (usize, usize, bool);

struct PairTask<'a> {
    config: &'a ContrastiveConfig,
    identity: String,
    texts: &'a [Encoded],
    labels: &'a [usize],
    seed: u64,
    device: Device,
    pairs: Vec<Pair>,
    epochs: usize,
}

impl PairTask<'_> {
    fn vectors(&self, model: &TextClassifier, rows: impl Iterator<Item = usize>) -> Tensor<2> {
        let texts: Vec<&Encoded> = rows.map(|row| &self.texts[row]).collect();
        normalized(model.encoder().encode(&TextBatch::new(&texts, &self.device)))
    }
}

impl Task for PairTask<'_> {
    type Model = TextClassifier;

    fn batches(&mut self, epoch: usize) -> Vec<Vec<usize>> {
        let mut rng = rng(derive(self.seed, epoch as u64));
        self.epochs = epoch + 1;
        self.pairs = draw(self.labels, self.config.pairs, &mut rng);
        let mut order: Vec<usize> = (0..self.pairs.len()).collect();
        order.shuffle(&mut rng);
        let longer = |&(a, b, _): &Pair| self.texts[a].len().max(self.texts[b].len());
        let lengths: Vec<usize> = self.pairs.iter().map(longer).collect();
        length_buckets(&order, &lengths, self.config.batch_size, |n| {
            let mut order: Vec<usize> = (0..n).collect();
            order.shuffle(&mut rng);
            order
        })
    }

    fn batches_per_epoch(&self) -> usize {
        (2 * self.config.pairs * self.labels.len()).div_ceil(self.config.batch_size)
    }

    fn loss(&mut self, model: &TextClassifier, rows: &[usize], _seed: u64) -> Result<Tensor<1>> {
        let pairs: Vec<Pair> = rows.iter().map(|&row| self.pairs[row]).collect();
        let left = self.vectors(model, pairs.iter().map(|p| p.0));
        let right = self.vectors(model, pairs.iter().map(|p| p.1));
        let same: Vec<f32> = pairs.iter().map(|p| f32::from(u8::from(p.2))).collect();
        let same = Tensor::from_data(TensorData::new(same, [pairs.len(), 1]), &self.device);
        let error = (left * right).sum_dim(1) - same;
        Ok((error.clone() * error).mean())
    }

    /// Nothing is held back to choose an epoch by: the last is kept.
    fn score(&mut self, _model: &TextClassifier) -> Result<f64> {
        Ok(self.epochs as f64)
    }

    fn score_name(&self) -> String {
        "epochs on pairs".to_owned()
    }

    fn identity(&self) -> (String, u64) {
        let data = self.labels.iter().fold(self.labels.len() as u64, |h, &l| derive(h, l as u64));
        (self.identity.clone(), data)
    }
}

/// So many partners of its own class and of others for each text. The only text of a class is its
/// own partner; where there is one class only, there are no pairs of two.
fn draw(labels: &[usize], pairs: usize, rng: &mut counterweight_core::Rng) -> Vec<Pair> {
    let classes = labels.iter().max().map_or(0, |&c| c + 1);
    let mut members = vec![Vec::new(); classes];
    for (row, &label) in labels.iter().enumerate() {
        members[label].push(row);
    }
    // Every class in turn, so that the texts of others are a range with a gap.
    let sorted: Vec<usize> = members.concat();
    let mut start = vec![0; classes + 1];
    for class in 0..classes {
        start[class + 1] = start[class] + members[class].len();
    }
    let mut drawn = Vec::with_capacity(2 * pairs * labels.len());
    for (row, &label) in labels.iter().enumerate() {
        let own = &members[label];
        let others = sorted.len() - own.len();
        for _ in 0..pairs {
            let partner = match own.len() {
                1 => row,
                n => loop {
                    let partner = own[rng.random_range(0..n)];
                    if partner != row {
                        break partner;
                    }
                },
            };
            drawn.push((row, partner, true));
            if others > 0 {
                let at = rng.random_range(0..others);
                let at = if at < start[label] { at } else { at + own.len() };
                drawn.push((row, sorted[at], false));
            }
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn pairs_are_of_one_class_and_of_two_as_they_say() {
        let labels = [0, 2, 0, 1, 2, 2, 0, 0];
        let pairs = draw(&labels, 5, &mut counterweight_core::rng(3));
        assert_eq!(pairs.len(), 2 * 5 * labels.len());
        for &(a, b, same) in &pairs {
            assert_eq!(labels[a] == labels[b], same, "{a} and {b}");
            assert!(a != b || labels[a] == 1);
        }
        // Every text of another class is met.
        let others: std::collections::BTreeSet<usize> =
            pairs.iter().filter(|p| p.0 == 3 && !p.2).map(|p| p.1).collect();
        assert!(others.len() > 2 && !others.contains(&3));
        assert!(draw(&[0, 0], 2, &mut counterweight_core::rng(1)).iter().all(|p| p.2));
    }
}
