//! One file per loss; `pairs`, `two` and `wrapper` hold what several share.

mod alpha_bce;
mod annealed;
mod arc_face;
mod asymmetric;
mod asymmetric_single;
mod auc_margin;
mod balanced_contrastive;
mod balanced_mse;
mod bce;
mod bpr;
mod class_weighted;
mod cos_face;
mod cross_entropy;
mod deferred;
mod dice;
mod distillation;
mod distribution_balanced;
mod equalization;
mod equalization_v2;
mod focal;
mod focal_r;
mod generalized_cross_entropy;
mod ghm_c;
mod ignore_index;
mod in_batch_softmax;
mod influence_balanced;
mod inverse_propensity;
mod label_aware_smoothing;
mod ldam;
mod listwise;
mod logit_adjusted;
mod lovasz_hinge;
mod paco;
mod pairs;
mod pairwise_auc;
mod partial_auc;
mod poly1;
mod sample_weighted;
mod sampled_softmax;
mod seesaw;
mod sigmoid_focal;
mod smoothed;
mod soap;
mod sup_con;
mod symmetric_cross_entropy;
mod tversky;
mod two;
mod vector_scaling;
mod wrapper;

use burn::tensor::{Device, Tensor, TensorData};

pub use alpha_bce::{AlphaBce, AlphaBceConfig};
pub use annealed::{Annealed, AnnealedConfig};
pub use arc_face::{ArcFace, ArcFaceConfig};
pub use asymmetric::{Asymmetric, AsymmetricConfig};
pub use asymmetric_single::{AsymmetricSingle, AsymmetricSingleConfig};
pub use auc_margin::{AucMargin, AucMarginConfig};
pub use balanced_contrastive::{BalancedContrastive, BalancedContrastiveConfig};
pub use balanced_mse::{BalancedMse, BalancedMseConfig};
pub use bce::{Bce, BceConfig};
pub use bpr::{Bpr, BprConfig};
pub use class_weighted::{ClassWeighted, ClassWeightedConfig};
pub use cos_face::{CosFace, CosFaceConfig};
pub use cross_entropy::{CrossEntropy, CrossEntropyConfig};
pub use deferred::{Deferred, DeferredConfig};
pub use dice::{Dice, DiceConfig, Overlap};
pub use distillation::{Distillation, DistillationConfig};
pub use distribution_balanced::{DistributionBalanced, DistributionBalancedConfig};
pub use equalization::{Equalization, EqualizationConfig};
pub use equalization_v2::{EqualizationV2, EqualizationV2Config};
pub use focal::{Focal, FocalConfig};
pub use focal_r::{FocalR, FocalRConfig, RegressionError};
pub use generalized_cross_entropy::{GeneralizedCrossEntropy, GeneralizedCrossEntropyConfig};
pub use ghm_c::{GhmC, GhmCConfig};
pub use ignore_index::{IgnoreIndex, IgnoreIndexConfig};
pub use in_batch_softmax::{InBatchSoftmax, InBatchSoftmaxConfig};
pub use influence_balanced::{InfluenceBalanced, InfluenceBalancedConfig};
pub use inverse_propensity::{InversePropensity, InversePropensityConfig};
pub use label_aware_smoothing::{LabelAwareSmoothing, LabelAwareSmoothingConfig, SmoothingShape};
pub use ldam::{Ldam, LdamConfig};
pub use listwise::{Listwise, ListwiseConfig};
pub use logit_adjusted::{LogitAdjusted, LogitAdjustedConfig, Unseen};
pub use lovasz_hinge::{LovaszHinge, LovaszHingeConfig};
pub use paco::{PaCo, PaCoConfig};
pub use pairs::SingleClass;
pub use pairwise_auc::{PairCost, PairwiseAuc, PairwiseAucConfig};
pub use partial_auc::{PartialAuc, PartialAucConfig};
pub use poly1::{Poly1, Poly1Config};
pub use sample_weighted::{SampleWeighted, SampleWeightedConfig};
pub use sampled_softmax::{SampledSoftmax, SampledSoftmaxConfig};
pub use seesaw::{Seesaw, SeesawConfig};
pub use sigmoid_focal::{Alpha, SigmoidFocal, SigmoidFocalConfig};
pub use smoothed::{Smoothed, SmoothedConfig};
pub use soap::{Soap, SoapConfig};
pub use sup_con::{SupCon, SupConConfig};
pub use symmetric_cross_entropy::{SymmetricCrossEntropy, SymmetricCrossEntropyConfig};
pub use tversky::{Tversky, TverskyConfig};
pub use vector_scaling::{VectorScaling, VectorScalingConfig};

/// A state tensor as numbers; nothing for none.
fn read(state: Option<&Tensor<1>>) -> Vec<f64> {
    state.map_or_else(Vec::new, |state| {
        let data = state.clone().into_data();
        data.iter::<f64>().collect()
    })
}

/// The other way, on the host's default device until it meets a batch.
fn written(state: &[f64]) -> Option<Tensor<1>> {
    if state.is_empty() {
        return None;
    }
    let values: Vec<f32> = state.iter().map(|&v| v as f32).collect();
    Some(Tensor::from_data(TensorData::from(values.as_slice()), &Device::default()))
}
