use burn::tensor::{Device, Tensor, TensorData};
use counterweight_core::{ClassProfile, ensure};

use super::wrapper::forward;
use crate::macros::loss_config;
use crate::{BatchInfo, Loss, LossConfig, Result, Targets};

loss_config! {
    /// Any loss times a weight per training row.
    ///
    /// The batch brings its rows ([`BatchInfo::rows`]); a batch that does not, or a row
    /// beyond the list, weighs 1. For skewed regression targets the weights come from
    /// [`label_distribution_smoothing`](crate::label_distribution_smoothing), for logged
    /// clicks from [`inverse_propensities`](crate::inverse_propensities).
    SampleWeightedConfig: wrapper {
        /// The loss.
        loss / with_loss: Box<LossConfig> = Box::default(), inner;
        /// One weight per training row, each finite and ≥ 0.
        weights / with_weights: Vec<f64> = Vec::new(), any;
    }
}

impl SampleWeightedConfig {
    /// `loss` under one weight per training row.
    #[must_use]
    pub fn new(loss: impl Into<LossConfig>, weights: Vec<f64>) -> Self {
        Self { loss: Box::new(loss.into()), weights }
    }

    /// Checks the weights and the loss.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a weight that is negative or not
    /// finite, and what the loss reports.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<SampleWeighted> {
        self.check()?;
        for &w in &self.weights {
            ensure("sample weight", w, w >= 0.0 && w.is_finite(), "[0, inf)")?;
        }
        Ok(SampleWeighted {
            inner: self.loss.init(profile, device)?,
            all: self.weights.iter().map(|&w| w as f32).collect(),
            batch: None,
        })
    }
}

/// See [`SampleWeightedConfig`].
#[derive(Debug)]
pub struct SampleWeighted {
    inner: Box<dyn Loss>,
    all: Vec<f32>,
    batch: Option<Vec<f32>>,
}

impl SampleWeighted {
    fn of(&self, logits: &Tensor<2>) -> Option<Tensor<1>> {
        let batch = self.batch.as_ref().filter(|batch| batch.len() == logits.dims()[0])?;
        let data = TensorData::from(batch.as_slice());
        Some(Tensor::<1>::from_data(data, &logits.device()).cast(logits.dtype()))
    }
}

impl Loss for SampleWeighted {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let weights = self.of(&logits);
        let loss = self.inner.compute(logits, targets);
        match weights {
            Some(weights) => loss * weights,
            None => loss,
        }
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        match (self.of(logits), self.inner.weights(logits, targets)) {
            (Some(own), Some(inner)) => Some(own * inner),
            (own, inner) => own.or(inner),
        }
    }

    fn begin_batch(&mut self, batch: &BatchInfo<'_>) {
        self.batch = batch.rows.map(|rows| {
            rows.iter().map(|&row| self.all.get(row).copied().unwrap_or(1.0)).collect()
        });
        self.inner.begin_batch(batch);
    }

    forward!(inner: set_epoch, end_batch, state);
}
