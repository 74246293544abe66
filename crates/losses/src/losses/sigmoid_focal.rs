use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::BinaryFocal;

use crate::family::sigmoid;
use crate::loss::filled;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Sigmoid focal loss for binary, multi-label or one-vs-all training (Lin et al.,
    /// ICCV 2017).
    ///
    /// With `p = σ(z)`, summed over the columns of an example:
    /// `loss = −Σ_c [α t (1 − p)^γ log p + (1 − α)(1 − t) p^γ log(1 − p)]`. For targets of 0
    /// and 1 this is torchvision's `sigmoid_focal_loss` summed over columns; its `mean` also
    /// divides by their number. A soft target is a mixture of both terms, where torchvision
    /// mixes the probabilities inside the power. α is the weight of positives; no α gives
    /// both weight 1 (torchvision: α < 0).
    SigmoidFocalConfig {
        /// γ ≥ 0. Default: 2.
        gamma / with_gamma: f64 = 2.0, non_negative;
        /// α in `[0, 1]`, or none. Default: 0.25, as in the paper. In TOML, leave it out for
        /// the default and write `alpha = "none"` for none.
        alpha / with_optional_alpha: Alpha = Alpha(Some(0.25)), alpha;
    }
}

/// The α of [`SigmoidFocalConfig`]: a weight of positives in `[0, 1]`, or none.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(from = "AlphaForm", into = "AlphaForm")]
pub struct Alpha(pub Option<f64>);

/// TOML has no null, so that none is a word.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum AlphaForm {
    Value(f64),
    None(NoAlpha),
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum NoAlpha {
    None,
}

impl From<AlphaForm> for Alpha {
    fn from(form: AlphaForm) -> Self {
        match form {
            AlphaForm::Value(alpha) => Self(Some(alpha)),
            AlphaForm::None(NoAlpha::None) => Self(None),
        }
    }
}

impl From<Alpha> for AlphaForm {
    fn from(alpha: Alpha) -> Self {
        alpha.0.map_or(Self::None(NoAlpha::None), Self::Value)
    }
}

impl SigmoidFocalConfig {
    /// Sets α.
    #[must_use]
    pub fn with_alpha(self, alpha: f64) -> Self {
        self.with_optional_alpha(Alpha(Some(alpha)))
    }

    /// Switches α off.
    #[must_use]
    pub fn without_alpha(self) -> Self {
        self.with_optional_alpha(Alpha(None))
    }

    /// Checks γ and α.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<SigmoidFocal> {
        self.check()?;
        Ok(SigmoidFocal { gamma: self.gamma, alpha: self.alpha.0 })
    }
}

/// See [`SigmoidFocalConfig`].
#[derive(Debug, Clone)]
pub struct SigmoidFocal {
    gamma: f64,
    alpha: Option<f64>,
}

impl Loss for SigmoidFocal {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (p, n) = self.alpha.map_or((1.0, 1.0), |alpha| (alpha, 1.0 - alpha));
        let (positive, negative) = (filled(p, &logits), filled(n, &logits));
        let terms =
            BinaryFocal { gamma_positive: self.gamma, gamma_negative: self.gamma, margin: 0.0 };
        sigmoid(logits, targets, positive, negative, terms)
    }
}
