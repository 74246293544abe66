use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use counterweight_core::{derive, ensure};

use crate::{
    Encoder, EncoderConfig, EncoderShape, Featurizer, Result, TextBatch, TextEncoder, seeded,
};

/// An encoder, dropout and a linear head: text in, logits out.
#[derive(Module, Debug)]
pub struct TextClassifier {
    encoder: TextEncoder,
    dropout: Dropout,
    head: Linear,
}

impl TextClassifier {
    /// A classifier whose weights are drawn by the seed, but those of a checkpoint.
    /// `dropout` in `[0, 1)` acts on the text's vector.
    ///
    /// # Errors
    /// For a field out of range, or a featurizer or checkpoint that does not fit the encoder.
    pub fn new(
        config: &EncoderConfig,
        featurizer: &Featurizer,
        classes: usize,
        dropout: f64,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let deviation = config.shape(featurizer)?.head_deviation();
        let encoder = config.init(featurizer, derive(seed, 0), device)?;
        let model = Self::around(encoder, classes, dropout, device)?;
        Ok(Self { head: seeded(model.head, deviation, derive(seed, 1)), ..model })
    }

    /// A classifier with arbitrary weights, to be filled from a file.
    ///
    /// # Errors
    /// For a field out of range.
    pub fn blank(
        shape: &EncoderShape,
        classes: usize,
        dropout: f64,
        device: &Device,
    ) -> Result<Self> {
        Self::around(shape.init(device)?, classes, dropout, device)
    }

    fn around(encoder: TextEncoder, classes: usize, dropout: f64, device: &Device) -> Result<Self> {
        ensure("dropout", dropout, (0.0..1.0).contains(&dropout), "[0, 1)")?;
        ensure("classes", classes as f64, classes >= 2, "[2, inf)")?;
        let head = LinearConfig::new(encoder.dim(), classes).init(device);
        Ok(Self { head, dropout: DropoutConfig::new(dropout).init(), encoder })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.head.weight.shape()[1]
    }

    /// The encoder.
    pub fn encoder(&self) -> &TextEncoder {
        &self.encoder
    }

    /// The text's vectors after dropout, `[batch, dim]`: where manifold mixup acts.
    pub fn features(&self, batch: &TextBatch) -> Tensor<2> {
        self.dropout.forward(self.encoder.encode(batch))
    }

    /// Logits of vectors, `[batch, dim]` → `[batch, classes]`.
    pub fn classify(&self, features: Tensor<2>) -> Tensor<2> {
        self.head.forward(features)
    }

    /// Logits of texts, `[batch, classes]`.
    pub fn forward(&self, batch: &TextBatch) -> Tensor<2> {
        self.classify(self.features(batch))
    }
}
