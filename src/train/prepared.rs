use counterweight_core::{ClassProfile, LabelEncoder};
use counterweight_encoder::{Encoded, EncoderConfig, EncoderShape, Featurizer};

use crate::{Result, TextSplits};

/// Tokenised training and development texts, for one encoder.
#[derive(Debug, Clone)]
pub struct Prepared<'a> {
    config: EncoderConfig,
    shape: EncoderShape,
    featurizer: Featurizer,
    train: Vec<Encoded>,
    dev: Vec<Encoded>,
    data: &'a TextSplits,
}

impl<'a> Prepared<'a> {
    /// Fits the tokenisation on the training texts and encodes both parts.
    ///
    /// # Errors
    /// For a field of the encoder out of range, or a tokeniser error.
    pub fn new(config: &EncoderConfig, data: &'a TextSplits) -> Result<Self> {
        let featurizer = config.fit_featurizer(data.train.texts())?;
        Ok(Self {
            train: featurizer.encode_all(data.train.texts())?,
            dev: featurizer.encode_all(data.dev.texts())?,
            config: config.clone(),
            shape: config.shape(&featurizer)?,
            featurizer,
            data,
        })
    }

    pub(crate) fn config(&self) -> &EncoderConfig {
        &self.config
    }

    pub(crate) fn shape(&self) -> &EncoderShape {
        &self.shape
    }

    pub(crate) fn featurizer(&self) -> &Featurizer {
        &self.featurizer
    }

    pub(crate) fn train(&self) -> &[Encoded] {
        &self.train
    }

    pub(crate) fn train_texts(&self) -> &[String] {
        self.data.train.texts()
    }

    pub(crate) fn train_labels(&self) -> &[usize] {
        self.data.train.labels()
    }

    pub(crate) fn dev(&self) -> &[Encoded] {
        &self.dev
    }

    pub(crate) fn dev_labels(&self) -> &[usize] {
        self.data.dev.labels()
    }

    pub(crate) fn labels(&self) -> &LabelEncoder {
        self.data.train.encoder()
    }

    pub(crate) fn profile(&self) -> &ClassProfile {
        &self.data.profile
    }
}
