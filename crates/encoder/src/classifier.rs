use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use counterweight_core::{derive, ensure};

use crate::{Encoder, EncoderConfig, Featurizer, Result, TextBatch, TextEncoder, seeded};

/// An encoder, dropout and a linear head: text in, logits out.
#[derive(Module, Debug)]
pub struct TextClassifier {
    encoder: TextEncoder,
    dropout: Dropout,
    head: Linear,
}

impl TextClassifier {
    /// A classifier whose weights are drawn by the seed. `dropout` in `[0, 1)` acts on
    /// the text's vector.
    ///
    /// # Errors
    /// For a field out of range, or a featurizer that does not fit the encoder.
    pub fn new(
        config: &EncoderConfig,
        featurizer: &Featurizer,
        classes: usize,
        dropout: f64,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        ensure("dropout", dropout, (0.0..1.0).contains(&dropout), "[0, 1)")?;
        ensure("classes", classes as f64, classes >= 2, "[2, inf)")?;
        let encoder = config.init(featurizer, derive(seed, 0), device)?;
        let dim = encoder.dim();
        let head = LinearConfig::new(dim, classes).init(device);
        Ok(Self {
            head: seeded(head, config.head_deviation(), derive(seed, 1)),
            dropout: DropoutConfig::new(dropout).init(),
            encoder,
        })
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
