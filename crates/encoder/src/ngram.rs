use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Device, Tensor};
use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use crate::{Encoder, HashedNgrams, Result, TextBatch};

/// An embedding bag over hashed word n-grams.
///
/// The text's vector is `Σ_i w_i E[id_i]` with TF-IDF weights `w` of unit length. With a
/// linear head this is a low-rank multinomial regression on TF-IDF features: the right
/// first model where words and word pairs decide, and far cheaper than a transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NgramConfig {
    /// Width of the text's vector, at least 1. Default: 64.
    pub dim: usize,
    /// Longest n-gram in words, at least 1. Default: 2.
    pub words: usize,
    /// Hash buckets, at least 2. Default: 2^21, few enough
    /// collisions for some 100 thousand n-grams.
    pub buckets: u32,
    /// Buckets in fewer training texts are dropped. Default: 2.
    pub min_count: u32,
}

impl Default for NgramConfig {
    fn default() -> Self {
        Self { dim: 64, words: 2, buckets: 1 << 21, min_count: 2 }
    }
}

impl NgramConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the width.
    #[must_use]
    pub fn with_dim(mut self, dim: usize) -> Self {
        self.dim = dim;
        self
    }

    /// Sets the longest n-gram.
    #[must_use]
    pub fn with_words(mut self, words: usize) -> Self {
        self.words = words;
        self
    }

    /// Sets the number of buckets.
    #[must_use]
    pub fn with_buckets(mut self, buckets: u32) -> Self {
        self.buckets = buckets;
        self
    }

    /// Sets the smallest document frequency.
    #[must_use]
    pub fn with_min_count(mut self, min_count: u32) -> Self {
        self.min_count = min_count;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        ensure("dim", self.dim as f64, self.dim >= 1, "[1, inf)")?;
        ensure("words", self.words as f64, self.words >= 1, "[1, inf)")?;
        ensure("buckets", f64::from(self.buckets), self.buckets >= 2, "[2, 2^32)")?;
        Ok(())
    }

    pub(crate) fn fit<S: AsRef<str>>(&self, corpus: &[S]) -> Result<HashedNgrams> {
        self.check()?;
        Ok(HashedNgrams::fit(corpus, self.words, self.buckets, self.min_count))
    }

    pub(crate) fn init(&self, vocabulary: usize, device: &Device) -> Result<NgramEncoder> {
        self.check()?;
        Ok(NgramEncoder { embedding: EmbeddingConfig::new(vocabulary, self.dim).init(device) })
    }
}

/// See [`NgramConfig`].
#[derive(Module, Debug)]
pub struct NgramEncoder {
    embedding: Embedding,
}

impl Encoder for NgramEncoder {
    fn encode(&self, batch: &TextBatch) -> Tensor<2> {
        let vectors = self.embedding.forward(batch.ids.clone());
        let weights = batch.weights.clone().unsqueeze_dim::<3>(1);
        weights.matmul(vectors).squeeze_dim(1)
    }

    fn dim(&self) -> usize {
        self.embedding.weight.dims()[1]
    }
}
