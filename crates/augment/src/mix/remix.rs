use burn::tensor::Tensor;
use counterweight_core::{ClassProfile, ensure, rng};

use super::{Weights, blend, blend_within, upload};
use crate::augmenter::{mix_within, take};
use crate::macros::config;
use crate::{Augmenter, Batch, Mixer, Result};

config! {
    /// Remix (Chou et al., ECCV workshops 2020): features as in [`Mixup`](crate::Mixup), but the
    /// target goes to the rarer class of a pair as a whole when its share of the features is not
    /// small.
    ///
    /// With n_i and n_j examples of the two classes, the weight of t_i is 0 when `n_i / n_j ≥ κ` and
    /// `λ < τ`, 1 when `n_i / n_j ≤ 1 / κ` and `1 − λ < τ`, else λ. For one class per row; a soft
    /// target counts as the mean of its classes' counts.
    Remix {
        /// α > 0 of `λ ~ Beta(α, α)`. Default: 1.
        with_alpha(alpha: f64 = 1.0),
        /// κ ≥ 1, how many times as frequent the other class must be. Default: 3.
        with_kappa(kappa: f64 = 3.0),
        /// τ in `[0, 1]`. Default: 0.5.
        with_tau(tau: f64 = 0.5),
        /// One λ for the whole batch. Default: false.
        with_per_batch(per_batch: bool = false),
    }
}

impl Remix {
    /// Checks the parameters and takes the classes' counts.
    ///
    /// # Errors
    /// When a parameter is out of range.
    pub fn init(&self, profile: &ClassProfile) -> Result<RemixAugmenter> {
        let weights = self.check()?;
        let counts = profile.counts().iter().map(|&n| n as f32).collect();
        Ok(RemixAugmenter { weights, kappa: self.kappa, tau: self.tau, counts })
    }

    pub(crate) fn check_ranges(&self) -> Result<()> {
        self.check().map(|_| ())
    }

    fn check(&self) -> Result<Weights> {
        let ok = self.kappa >= 1.0 && self.kappa.is_finite();
        ensure("kappa", self.kappa, ok, "[1, inf)")?;
        ensure("tau", self.tau, (0.0..=1.0).contains(&self.tau), "[0, 1]")?;
        Weights::new(self.alpha, self.alpha, self.per_batch)
    }
}

/// See [`Remix`].
#[derive(Debug, Clone)]
pub struct RemixAugmenter {
    weights: Weights,
    kappa: f64,
    tau: f64,
    counts: Vec<f32>,
}

impl RemixAugmenter {
    /// Mixes row by row with these weights of the batch's own features.
    ///
    /// # Panics
    /// When shapes do not fit, or the targets have other classes than the profile.
    pub fn mix_by<const D: usize>(
        &self,
        batch: Batch<D>,
        partners: Batch<D>,
        lambda: Vec<f32>,
    ) -> Batch<D> {
        let lambda = upload(lambda, &batch.targets.device());
        let share = self.share(&batch.targets, &partners.targets, lambda.clone());
        Batch {
            features: blend(batch.features, partners.features, lambda),
            targets: blend(batch.targets, partners.targets, share),
        }
    }

    /// The weights of the batch's own targets.
    fn share(&self, own: &Tensor<2>, other: &Tensor<2>, lambda: Tensor<1>) -> Tensor<1> {
        assert_eq!(own.dims()[1], self.counts.len(), "one target per class");
        let counts = upload(self.counts.clone(), &own.device()).cast(own.dtype());
        let of = |targets: &Tensor<2>| {
            (targets.clone() * counts.clone().unsqueeze()).sum_dim(1).squeeze_dim::<1>(1)
        };
        let (own, other) = (of(own), of(other));
        let frequent = own.clone().greater_equal(other.clone() * self.kappa);
        let rare = other.greater_equal(own * self.kappa);
        let to_other = frequent.bool_and(lambda.clone().lower_elem(self.tau));
        let to_own = rare.bool_and(lambda.clone().greater_elem(1.0 - self.tau));
        lambda.mask_fill(to_other, 0.0).mask_fill(to_own, 1.0)
    }
}

impl<const D: usize> Mixer<D> for RemixAugmenter {
    fn mix(&self, batch: Batch<D>, partners: Batch<D>, seed: u64) -> Batch<D> {
        let lambda = self.weights.draw(batch.rows(), &mut rng(seed));
        self.mix_by(batch, partners, lambda)
    }
}

impl<const D: usize> Augmenter<D> for RemixAugmenter {
    fn augment(&self, batch: Batch<D>, seed: u64) -> Batch<D> {
        mix_within(batch, seed, |batch, order, seed| {
            let lambda = self.weights.draw(batch.rows(), &mut rng(seed));
            let lambda = upload(lambda, &batch.targets.device());
            let other = take(&batch.targets, order);
            let share = self.share(&batch.targets, &other, lambda.clone());
            Batch {
                features: blend_within(batch.features, order, lambda),
                targets: blend(batch.targets, other, share),
            }
        })
    }
}
