use counterweight_core::rng;

use super::{Weights, blend, blend_within, upload};
use crate::augmenter::mix_within;
use crate::macros::config;
use crate::{Augmenter, Batch, Mixer, Result};

config! {
    /// Mixup (Zhang et al., ICLR 2018): every row becomes `λ x_i + (1 − λ) x_j`, its target
    /// `λ t_i + (1 − λ) t_j`, with `λ ~ Beta(α, α)` and `j` from a permutation of the batch.
    ///
    /// With partners of a class-aware batch ([`Mixer::mix`]) and `λ ~ Beta(1, β)`, β about 0.2, it is
    /// balanced mixup (Galdran et al., MICCAI 2021).
    ///
    /// λ is drawn per row by default; `per_batch` draws one, as the paper's code does. On a hidden
    /// layer of a model this is manifold mixup (Verma et al., ICML 2019): call it between two
    /// layers of the forward pass, with the targets, and go on with what it gives; gradients flow
    /// through it.
    ///
    /// ```
    /// use burn::tensor::{Device, Tensor};
    /// use counterweight_augment::{Batch, Mixup};
    ///
    /// let device = Device::flex();
    /// let batch = Batch {
    ///     features: Tensor::<2>::from_floats([[0.0, 4.0], [8.0, 0.0]], &device),
    ///     targets: Tensor::from_floats([[1.0, 0.0], [0.0, 1.0]], &device),
    /// };
    /// let partners = batch.select(&[1, 0]);
    /// let mixed = Mixup::new().init()?.mix_by(batch, partners, vec![1.0, 0.75]);
    /// let values = mixed.features.into_data().try_to_vec::<f32>().unwrap();
    /// assert_eq!(values, [0.0, 4.0, 6.0, 1.0]);
    /// # Ok::<(), counterweight_augment::Error>(())
    /// ```
    Mixup {
        /// α > 0. Default: 0.2.
        with_alpha(alpha: f64 = 0.2),
        /// β > 0 of `Beta(α, β)`. Default: none, which is α.
        with_beta(beta: Option<f64> = None),
        /// One λ for the whole batch. Default: false.
        with_per_batch(per_batch: bool = false),
    }
}

impl Mixup {
    /// Checks α and β.
    ///
    /// # Errors
    /// When either is not positive and finite.
    pub fn init(&self) -> Result<MixupAugmenter> {
        let beta = self.beta.unwrap_or(self.alpha);
        Ok(MixupAugmenter { weights: Weights::new(self.alpha, beta, self.per_batch)? })
    }
}

/// See [`Mixup`].
#[derive(Debug, Clone)]
pub struct MixupAugmenter {
    weights: Weights,
}

impl MixupAugmenter {
    /// Mixes row by row with these weights of the batch's own rows.
    ///
    /// # Panics
    /// When shapes do not fit.
    pub fn mix_by<const D: usize>(
        &self,
        batch: Batch<D>,
        partners: Batch<D>,
        lambda: Vec<f32>,
    ) -> Batch<D> {
        let lambda = upload(lambda, &batch.features.device());
        Batch {
            features: blend(batch.features, partners.features, lambda.clone()),
            targets: blend(batch.targets, partners.targets, lambda),
        }
    }
}

impl<const D: usize> Mixer<D> for MixupAugmenter {
    fn mix(&self, batch: Batch<D>, partners: Batch<D>, seed: u64) -> Batch<D> {
        let lambda = self.weights.draw(batch.rows(), &mut rng(seed));
        self.mix_by(batch, partners, lambda)
    }
}

impl<const D: usize> Augmenter<D> for MixupAugmenter {
    fn augment(&self, batch: Batch<D>, seed: u64) -> Batch<D> {
        mix_within(batch, seed, |batch, order, seed| {
            let lambda = self.weights.draw(batch.rows(), &mut rng(seed));
            let lambda = upload(lambda, &batch.features.device());
            Batch {
                features: blend_within(batch.features, order, lambda.clone()),
                targets: blend_within(batch.targets, order, lambda),
            }
        })
    }
}
