use burn::tensor::{Tensor, TensorData};
use counterweight_core::{ensure, rng};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::{Augmenter, Batch, Result};

/// Token dropout for text: every token is removed with probability `rate` by zeroing its
/// weight (word dropout, Iyyer et al., ACL 2015; random deletion in EDA, Wei and Zou,
/// EMNLP 2019).
///
/// The features are the token weights `[batch, length]`: an attention mask of ones and
/// zeros, or TF-IDF weights. Targets are unchanged. With `protect_first` the first
/// position (`[CLS]`) stays, so that no text becomes empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenDropout {
    /// Probability in `[0, 1)`. Default: 0.1.
    pub rate: f64,
    /// Whether the first position is never removed. Default: true.
    pub protect_first: bool,
}

impl Default for TokenDropout {
    fn default() -> Self {
        Self { rate: 0.1, protect_first: true }
    }
}

impl TokenDropout {
    /// Rate 0.1, first position kept.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the rate.
    #[must_use]
    pub fn with_rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// Sets whether the first position stays.
    #[must_use]
    pub fn with_protect_first(mut self, protect_first: bool) -> Self {
        self.protect_first = protect_first;
        self
    }

    /// Checks the rate.
    ///
    /// # Errors
    /// When it is outside `[0, 1)`.
    pub fn init(&self) -> Result<TokenDropoutAugmenter> {
        ensure("rate", self.rate, (0.0..1.0).contains(&self.rate), "[0, 1)")?;
        Ok(TokenDropoutAugmenter(self.clone()))
    }
}

/// See [`TokenDropout`].
#[derive(Debug, Clone)]
pub struct TokenDropoutAugmenter(TokenDropout);

impl Augmenter<2> for TokenDropoutAugmenter {
    fn augment(&self, batch: Batch<2>, seed: u64) -> Batch<2> {
        let shape = batch.features.dims();
        let protected = usize::from(self.0.protect_first);
        let mut rng = rng(seed);
        let keep = |i: usize| {
            let dropped = rng.random::<f64>() < self.0.rate;
            f32::from(u8::from(i % shape[1] < protected || !dropped))
        };
        let mask: Vec<f32> = (0..shape[0] * shape[1]).map(keep).collect();
        let mask = Tensor::<2>::from_data(TensorData::new(mask, shape), &batch.features.device());
        Batch {
            features: batch.features.clone() * mask.cast(batch.features.dtype()),
            targets: batch.targets,
        }
    }
}
