//! What a recipe's augmenter does to a batch of texts.

use burn::tensor::Tensor;
use counterweight_augment::{
    AugmentConfig, Augmenter, Batch, Mixer, TextAugmenter, TokenDropoutAugmenter,
};
use counterweight_core::{ClassProfile, derive};
use counterweight_encoder::{Encoded, Featurizer, TextBatch};
use counterweight_samplers::{ClassAware, IndexSampler};

use crate::{Error, Result};

/// An augmenter, at the place where it works: on texts, tokens or features.
#[derive(Debug)]
pub(super) enum Augmentation {
    None,
    Texts { augmenter: Box<dyn TextAugmenter>, strengths: Vec<f64> },
    Tokens(TokenDropoutAugmenter),
    Features { mixer: Box<dyn Mixer<2>>, partners: Option<Partners> },
}

/// Partners of an epoch, drawn class-aware.
#[derive(Debug)]
pub(super) struct Partners {
    sampler: Box<dyn IndexSampler>,
    rows: Vec<usize>,
    next: usize,
}

impl Augmentation {
    pub(super) fn new(
        config: &AugmentConfig,
        profile: &ClassProfile,
        labels: &[usize],
        seed: u64,
    ) -> Result<Self> {
        let features = |mixer: Box<dyn Mixer<2>>| Self::Features { mixer, partners: None };
        Ok(match config {
            AugmentConfig::None => Self::None,
            AugmentConfig::Mixup(config) => features(Box::new(config.init()?)),
            AugmentConfig::Remix(config) => features(Box::new(config.init(profile)?)),
            AugmentConfig::BalancedMixup(config) => {
                let sampler: Box<dyn IndexSampler> = Box::new(ClassAware::new(labels, seed)?);
                let partners = Some(Partners { sampler, rows: Vec::new(), next: 0 });
                Self::Features { mixer: Box::new(config.init()?), partners }
            }
            AugmentConfig::TokenDropout(config) => Self::Tokens(config.init()?),
            AugmentConfig::Eda(config) => Self::Texts {
                augmenter: Box::new(config.init()?),
                strengths: config.strength.of(profile)?,
            },
            AugmentConfig::CharacterNoise(config) => Self::Texts {
                augmenter: Box::new(config.init()?),
                strengths: config.strength.of(profile)?,
            },
            other => return Err(no_text(other)),
        })
    }

    /// Whether the encoder sees something else each time.
    pub(super) fn changes_input(&self) -> bool {
        matches!(self, Self::Texts { .. } | Self::Tokens(_))
    }

    /// A new epoch's partners.
    pub(super) fn begin_epoch(&mut self, epoch: usize) {
        if let Self::Features { partners: Some(partners), .. } = self {
            partners.rows = partners.sampler.epoch(epoch);
            partners.next = 0;
        }
    }

    /// Partners for the next rows of the epoch, if they come from elsewhere.
    pub(super) fn partners(&mut self, rows: usize) -> Option<Vec<usize>> {
        let Self::Features { partners: Some(partners), .. } = self else {
            return None;
        };
        let all = &partners.rows;
        let drawn = (0..rows).map(|i| all[(partners.next + i) % all.len().max(1)]).collect();
        partners.next += rows;
        Some(drawn)
    }

    /// The texts of a batch, changed and encoded.
    pub(super) fn texts(
        &self,
        texts: &[String],
        rows: &[usize],
        labels: &[usize],
        featurizer: &Featurizer,
        seed: u64,
    ) -> Result<Option<Vec<Encoded>>> {
        let Self::Texts { augmenter, strengths } = self else {
            return Ok(None);
        };
        let texts: Vec<String> = rows.iter().map(|&row| texts[row].clone()).collect();
        let classes: Vec<usize> = rows.iter().map(|&row| labels[row]).collect();
        let changed = augmenter.augment_all(&texts, &classes, strengths, seed)?;
        Ok(Some(featurizer.encode_all(&changed)?))
    }

    /// The tokens of a batch.
    pub(super) fn tokens(&self, batch: &mut TextBatch, targets: impl Fn() -> Tensor<2>, seed: u64) {
        if let Self::Tokens(dropout) = self {
            let input = Batch { features: batch.weights.clone(), targets: targets() };
            batch.weights = dropout.augment(input, seed).features;
        }
    }

    /// The features of a batch, or none where targets stay as they are.
    pub(super) fn features(
        &self,
        batch: impl Fn() -> Batch<2>,
        partners: Option<Batch<2>>,
        seed: u64,
    ) -> Option<Batch<2>> {
        let Self::Features { mixer, .. } = self else {
            return None;
        };
        Some(match partners {
            Some(partners) => mixer.mix(batch(), partners, derive(seed, 1)),
            None => mixer.augment(batch(), seed),
        })
    }
}

/// Recipes are of texts.
pub(crate) fn no_text(config: &AugmentConfig) -> Error {
    let name = match config {
        AugmentConfig::Images(_) => "images",
        AugmentConfig::CutMix(_) => "cut_mix",
        _ => "this augmenter",
    };
    Error::Recipe { reason: format!("{name} augments images, a recipe trains on texts") }
}
