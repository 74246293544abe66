use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use counterweight_core::{derive, ensure};
use counterweight_kernels::{cosines, normalized};
use serde::{Deserialize, Serialize};

use crate::init::tracked;
use crate::{
    Encoder, EncoderConfig, EncoderShape, Error, Featurizer, Freeze, Result, TextBatch,
    TextEncoder, seeded,
};

/// How vectors become logits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadKind {
    /// `W x + b`.
    #[default]
    Linear,
    /// `scale · cos(w_c, x)`: the lengths of a linear head's weights follow the class
    /// counts and favour the head classes (Kang et al., ICLR 2020), a cosine cannot. LDAM, ArcFace
    /// and CosFace scale by themselves and want 1, other losses 16 to 30.
    Cosine {
        /// The factor, positive. Default: 16.
        #[serde(default = "default_scale")]
        scale: f64,
    },
}

fn default_scale() -> f64 {
    16.0
}

/// The part of a [`TextClassifier`] behind its encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierConfig {
    /// The outputs, at least 1: a logit for each class or, for several labels at once, for each
    /// label; one for a score, as in regression or the ranking of pairs.
    pub outputs: usize,
    /// Dropout of the text's vector, in `[0, 1)`.
    pub dropout: f64,
    /// How vectors become logits.
    pub head: HeadKind,
}

impl ClassifierConfig {
    /// A linear head without dropout.
    #[must_use]
    pub fn new(outputs: usize) -> Self {
        Self { outputs, dropout: 0.0, head: HeadKind::Linear }
    }

    /// Sets the dropout.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Sets the head.
    #[must_use]
    pub fn with_head(mut self, head: HeadKind) -> Self {
        self.head = head;
        self
    }

    /// Checks the fields' ranges.
    ///
    /// # Errors
    /// Naming the field, its value and the range.
    pub fn check(&self) -> Result<()> {
        ensure("outputs", self.outputs as f64, self.outputs >= 1, "[1, inf)")?;
        ensure("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "[0, 1)")?;
        if let HeadKind::Cosine { scale } = self.head {
            ensure("scale", scale, scale > 0.0 && scale.is_finite(), "(0, inf)")?;
        }
        Ok(())
    }
}

/// An encoder, dropout and a head: text in, logits out. Of one text or of a pair (a
/// cross-encoder); with a softmax loss a classifier, with a sigmoid loss one for several labels
/// at once, with one output a scorer.
#[derive(Module, Debug)]
pub struct TextClassifier {
    encoder: TextEncoder,
    dropout: Dropout,
    head: Linear,
    #[module(skip)]
    kind: HeadKind,
}

impl TextClassifier {
    /// A classifier whose weights are drawn by the seed, but those of a checkpoint.
    ///
    /// # Errors
    /// For a field out of range, or a featurizer or checkpoint that does not fit the encoder.
    pub fn new(
        encoder: &EncoderConfig,
        featurizer: &Featurizer,
        config: &ClassifierConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let deviation = encoder.shape(featurizer)?.head_deviation();
        let encoder = encoder.init(featurizer, derive(seed, 0), device)?;
        let model = Self::around(encoder, config, device)?;
        Ok(Self { head: seeded(model.head, deviation, derive(seed, 1)), ..model })
    }

    /// A classifier with arbitrary weights, to be filled from a file.
    ///
    /// # Errors
    /// For a field out of range.
    pub fn blank(shape: &EncoderShape, config: &ClassifierConfig, device: &Device) -> Result<Self> {
        Self::around(shape.init(device)?, config, device)
    }

    /// A classifier on a given encoder, whose head has arbitrary weights.
    ///
    /// # Errors
    /// For a field out of range.
    pub fn around(
        encoder: TextEncoder,
        config: &ClassifierConfig,
        device: &Device,
    ) -> Result<Self> {
        config.check()?;
        let biased = config.head == HeadKind::Linear;
        let head = LinearConfig::new(encoder.dim(), config.outputs).with_bias(biased);
        Ok(Self {
            head: head.init(device),
            dropout: DropoutConfig::new(config.dropout).init(),
            encoder,
            kind: config.head,
        })
    }

    pub(crate) fn with_head(mut self, head: Linear) -> Self {
        self.head = head;
        self
    }

    /// The number of outputs.
    pub fn classes(&self) -> usize {
        self.head.weight.shape()[1]
    }

    /// The encoder.
    pub fn encoder(&self) -> &TextEncoder {
        &self.encoder
    }

    /// The text's vectors after dropout, `[batch, dim]`: where manifold mixup acts.
    pub fn features(&self, batch: &TextBatch) -> Tensor<2> {
        self.drop_out(self.encoder.encode(batch))
    }

    /// Dropout of the encoder's vectors, `[batch, dim]`.
    pub fn drop_out(&self, vectors: Tensor<2>) -> Tensor<2> {
        self.dropout.forward(vectors)
    }

    /// Logits of vectors, `[batch, dim]` → `[batch, outputs]`.
    pub fn classify(&self, features: Tensor<2>) -> Tensor<2> {
        match self.kind {
            HeadKind::Linear => self.head.forward(features),
            HeadKind::Cosine { scale } => cosines(features, self.head.weight.val()) * scale,
        }
    }

    /// Logits of texts, `[batch, outputs]`.
    pub fn forward(&self, batch: &TextBatch) -> Tensor<2> {
        self.classify(self.features(batch))
    }

    /// The classifier with its encoder frozen, the head alone trained.
    #[must_use]
    pub fn with_frozen_encoder(mut self) -> Self {
        self.encoder = self.encoder.frozen(Freeze::All);
        self
    }

    /// Puts a vector of each class in the head, so that the nearest one wins: by the Euclidean
    /// distance where the head is linear (`w_c = m_c`, `b_c = −|m_c|² / 2`), by the cosine where it
    /// is a cosine. With the means of the classes' training vectors it is the nearest-class-mean
    /// classifier (Mensink et al., TPAMI 2013; Snell et al., NeurIPS 2017), which needs no training
    /// and cannot favour the frequent classes.
    ///
    /// # Errors
    /// When there is not one vector of the encoder's width for each output, or one is not finite.
    pub fn with_class_vectors(mut self, vectors: &[Vec<f32>]) -> Result<Self> {
        let (dim, classes) = (self.encoder.dim(), self.classes());
        counterweight_core::ensure_length("class vectors", vectors.len(), classes)?;
        for vector in vectors {
            counterweight_core::ensure_length("a class vector", vector.len(), dim)?;
            if let Some(&bad) = vector.iter().find(|v| !v.is_finite()) {
                ensure("class vector", f64::from(bad), false, "finite numbers")?;
            }
        }
        let device = self.head.weight.lazy_device();
        let columns: Vec<f32> =
            (0..dim).flat_map(|i| vectors.iter().map(move |vector| vector[i])).collect();
        let weight = TensorData::new(columns, [dim, classes]);
        self.head.weight = Param::from_tensor(tracked(Tensor::from_data(weight, &device)));
        if self.head.bias.is_some() {
            let half = |v: &Vec<f32>| -v.iter().map(|x| x * x).sum::<f32>() / 2.0;
            let bias: Vec<f32> = vectors.iter().map(half).collect();
            let bias = Tensor::<1>::from_data(TensorData::from(bias.as_slice()), &device);
            self.head.bias = Some(Param::from_tensor(tracked(bias)));
        }
        Ok(self)
    }

    /// The mean vector of each class over texts, in order of the classes, for
    /// [`with_class_vectors`](Self::with_class_vectors); of unit vectors where the head is a cosine.
    ///
    /// # Errors
    /// When there are not as many labels as texts, a label has no output, a class has no text, or
    /// a tensor cannot be read back.
    pub fn class_means(
        &self,
        texts: &[crate::Encoded],
        labels: &[usize],
        device: &Device,
    ) -> Result<Vec<Vec<f32>>> {
        counterweight_core::ensure_length("labels", labels.len(), texts.len())?;
        self.class_counts(labels)?;
        let encode = |texts: &[crate::Encoded]| {
            let rows: Vec<_> = texts.iter().collect();
            self.encoder.encode(&TextBatch::new(&rows, device))
        };
        let parts: Vec<_> = texts.chunks(64).map(encode).collect();
        self.class_means_of(Tensor::cat(parts, 0), labels)
    }

    /// The number of labels of each class, at least 1.
    fn class_counts(&self, labels: &[usize]) -> Result<Vec<usize>> {
        let mut counts = vec![0; self.classes()];
        for &label in labels {
            ensure("label", label as f64, label < counts.len(), "[0, outputs)")?;
            counts[label] += 1;
        }
        if let Some(class) = counts.iter().position(|&n| n == 0) {
            ensure("class without a text", class as f64, false, "none")?;
        }
        Ok(counts)
    }

    /// [`class_means`](Self::class_means) from the texts' vectors, `[texts, dim]`.
    ///
    /// # Errors
    /// As [`class_means`](Self::class_means).
    pub fn class_means_of(&self, vectors: Tensor<2>, labels: &[usize]) -> Result<Vec<Vec<f32>>> {
        let [texts, dim] = vectors.dims();
        counterweight_core::ensure_length("labels", labels.len(), texts)?;
        let counts = self.class_counts(labels)?;
        let mut sums = vec![vec![0f64; dim]; counts.len()];
        let vectors = match self.kind {
            HeadKind::Linear => vectors,
            HeadKind::Cosine { .. } => normalized(vectors),
        };
        let vectors: Vec<f32> =
            vectors.try_into_vec_as().map_err(|e| Error::Device { reason: e.to_string() })?;
        for (vector, &label) in vectors.chunks_exact(dim).zip(labels) {
            sums[label].iter_mut().zip(vector).for_each(|(s, &v)| *s += f64::from(v));
        }
        let mean =
            |(sum, n): (Vec<f64>, usize)| sum.into_iter().map(|s| (s / n as f64) as f32).collect();
        Ok(sums.into_iter().zip(counts).map(mean).collect())
    }
}
