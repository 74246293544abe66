use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use serde::{Deserialize, Serialize};

use super::pairs::{Columns, Pairs, SingleClass};
use crate::family::softplus;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

/// What a pair with score difference `d = s⁺ − s⁻` costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairCost {
    /// `max(0, m − d)²`.
    #[default]
    SquaredHinge,
    /// `log(1 + e^{m − d})`.
    Logistic,
}

impl PairCost {
    pub(super) fn apply(self, margin: f64, difference: Tensor<2>) -> Tensor<2> {
        let short = difference.neg() + margin;
        match self {
            Self::SquaredHinge => relu(short).square(),
            Self::Logistic => softplus(short),
        }
    }
}

loss_config! {
    /// Pairwise AUC surrogate (Gao and Zhou, IJCAI 2015; Yan et al., ICML 2003).
    ///
    /// `loss = mean over positives i and negatives j of cost(s_i − s_j)`, per column, then the
    /// mean over columns that have both. A number of the batch: every example carries it, so
    /// the mean over examples is it. A column with one class costs nothing, gives no
    /// gradient and is counted ([`SingleClass`]). Memory grows with batch²
    /// per column.
    PairwiseAucConfig {
        /// The cost of a pair. Default: squared hinge.
        cost / with_cost: PairCost = PairCost::SquaredHinge, any;
        /// m ≥ 0. Default: 1.
        margin / with_margin: f64 = 1.0, non_negative;
    }
}

impl PairwiseAucConfig {
    /// Checks the margin.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<PairwiseAuc> {
        self.check()?;
        Ok(PairwiseAuc { config: self.clone(), single: SingleClass::default() })
    }
}

/// See [`PairwiseAucConfig`].
#[derive(Debug, Clone)]
pub struct PairwiseAuc {
    config: PairwiseAucConfig,
    single: SingleClass,
}

impl PairwiseAuc {
    /// The batches' columns that had one class only.
    pub fn single_class(&self) -> &SingleClass {
        &self.single
    }
}

impl Loss for PairwiseAuc {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let columns = Columns::new(logits, targets);
        columns.mean(&self.single, |column| {
            let Pairs { scores, positive, negative, pairs } = column.pairs();
            let cost = self.config.cost.apply(self.config.margin, scores);
            (cost * positive.matmul(negative)).sum() / pairs
        })
    }
}
