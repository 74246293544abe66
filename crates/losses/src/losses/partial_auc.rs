use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::pairs::{Columns, Pairs, SingleClass};
use super::pairwise_auc::PairCost;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// One-way partial AUC by distributionally robust optimisation (Zhu et al., ICML 2022).
    ///
    /// `loss = mean over positives i of λ log mean over negatives j of exp(cost(s_i − s_j) / λ)`:
    /// the softer λ, the more the hardest negatives (low false positive rates) count; λ → ∞ is
    /// [`PairwiseAucConfig`](crate::PairwiseAucConfig). Estimated on the batch. The mean over
    /// columns with both classes; a number of the batch.
    PartialAucConfig {
        /// λ > 0. Default: 1.
        lambda / with_lambda: f64 = 1.0, positive;
        /// The cost of a pair. Default: squared hinge.
        cost / with_cost: PairCost = PairCost::SquaredHinge, any;
        /// m ≥ 0 in the cost. Default: 1.
        margin / with_margin: f64 = 1.0, non_negative;
    }
}

impl PartialAucConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<PartialAuc> {
        self.check()?;
        Ok(PartialAuc { config: self.clone(), single: SingleClass::default() })
    }
}

/// See [`PartialAucConfig`].
#[derive(Debug, Clone)]
pub struct PartialAuc {
    config: PartialAucConfig,
    single: SingleClass,
}

impl PartialAuc {
    /// The batches' columns that had one class only.
    pub fn single_class(&self) -> &SingleClass {
        &self.single
    }
}

impl Loss for PartialAuc {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let PartialAucConfig { lambda, cost, margin } = self.config;
        Columns::new(logits, targets).mean(&self.single, |column| {
            let Pairs { scores, positive, negative, .. } = column.pairs();
            let shape = scores.dims();
            let negative = negative.expand(shape);
            // Costs are ≥ 0, so the 0 of the others is never above the largest negative.
            let exponent = cost.apply(margin, scores) * negative.clone() / lambda;
            let top = exponent.clone().detach().max_dim(1);
            let exp = (exponent - top.clone()).exp() * negative;
            let mean = exp.sum_dim(1) / column.negatives.clone().unsqueeze_dim::<2>(0);
            let log = (mean.clamp_min(1e-30).log() + top) * lambda;
            (log * positive).sum() / column.positives.clone()
        })
    }
}
