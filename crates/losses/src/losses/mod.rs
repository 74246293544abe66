//! One file per loss.

mod alpha_bce;
mod cross_entropy;
mod deferred;
mod focal;
mod logit_adjusted;
mod sigmoid_focal;

pub use alpha_bce::{AlphaBce, AlphaBceConfig};
pub use cross_entropy::{CrossEntropy, CrossEntropyConfig};
pub use deferred::{Deferred, DeferredConfig};
pub use focal::{Focal, FocalConfig};
pub use logit_adjusted::{LogitAdjusted, LogitAdjustedConfig};
pub use sigmoid_focal::{SigmoidFocal, SigmoidFocalConfig};
