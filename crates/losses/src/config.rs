use burn::tensor::Device;
use counterweight_core::ClassProfile;
use serde::{Deserialize, Serialize};

use crate::losses::*;
use crate::{Loss, Result};

/// What a loss takes as its first argument and as targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// Logits `[batch, classes]` of a softmax; class ids or distributions.
    Logits,
    /// Logits `[batch, columns]` of sigmoids, one column for a binary classifier;
    /// indicators, or class ids (one against all; beside one column 0 and 1).
    Binary,
    /// Cosines `[batch, classes]`, as [`CosineHead`](crate::CosineHead) gives; class ids.
    Cosines,
    /// Embeddings `[batch, features]`; class ids.
    Embeddings,
    /// Scores `[batch, candidates]` of a ranking, as the loss's documentation says.
    Scores,
    /// Predictions `[batch, outputs]`; values.
    Values,
    /// What the loss inside takes ([`LossConfig::input`] looks inside).
    Inner,
}

/// Declares [`LossConfig`]: a new loss is one line here.
macro_rules! losses {
    ($($(#[$doc:meta])* $variant:ident($config:ty) = $name:literal, $input:ident;)*) => {
        /// Any loss of this crate, as a value: in TOML, `kind = "focal"` and the
        /// fields of its `*Config`.
        ///
        /// ```
        /// use counterweight_losses::{FocalConfig, LossConfig};
        ///
        /// let loss: LossConfig = toml::from_str("kind = \"focal\"\ngamma = 1.5")?;
        /// assert_eq!(loss, FocalConfig::new().with_gamma(1.5).into());
        /// assert!(toml::from_str::<LossConfig>("kind = \"vocal\"").is_err());
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        #[non_exhaustive]
        pub enum LossConfig {
            $($(#[$doc])* #[serde(rename = $name)] $variant($config),)*
        }

        /// The names of the losses, without parameters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum LossKind {
            $($(#[$doc])* $variant,)*
        }

        impl LossConfig {
            /// The loss's name.
            pub fn kind(&self) -> LossKind {
                match self { $(Self::$variant(_) => LossKind::$variant,)* }
            }

            /// Checks the parameters that do not depend on the data.
            ///
            /// # Errors
            /// [`Error`](enum@crate::Error) naming the parameter and its range.
            pub fn check(&self) -> Result<()> {
                match self { $(Self::$variant(config) => config.check(),)* }
            }

            /// Checks the configuration against the profile.
            ///
            /// # Errors
            /// [`Error`](enum@crate::Error) naming the parameter and its range.
            pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Box<dyn Loss>> {
                match self {
                    $(Self::$variant(config) => Ok(Box::new(config.init(profile, device)?)),)*
                }
            }
        }

        impl LossKind {
            /// All losses, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The loss with its defaults.
            pub fn config(self) -> LossConfig {
                match self { $(Self::$variant => LossConfig::$variant(Default::default()),)* }
            }

            /// What the loss takes.
            pub fn input(self) -> Input {
                match self { $(Self::$variant => Input::$input,)* }
            }
        }

        impl std::fmt::Display for LossKind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $name,)* })
            }
        }

        $(impl From<$config> for LossConfig {
            fn from(config: $config) -> Self { Self::$variant(config) }
        }

        impl From<$config> for Box<LossConfig> {
            fn from(config: $config) -> Self { Box::new(config.into()) }
        })*
    };
}

losses! {
    /// Cross entropy with class weights and smoothing.
    CrossEntropy(CrossEntropyConfig) = "cross_entropy", Logits;
    /// Softmax focal loss.
    Focal(FocalConfig) = "focal", Logits;
    /// Logit-adjusted cross entropy; balanced softmax.
    LogitAdjusted(LogitAdjustedConfig) = "logit_adjusted", Logits;
    /// Label-distribution-aware margin.
    Ldam(LdamConfig) = "ldam", Logits;
    /// Vector scaling.
    VectorScaling(VectorScalingConfig) = "vector_scaling", Logits;
    /// Label-aware smoothing.
    LabelAwareSmoothing(LabelAwareSmoothingConfig) = "label_aware_smoothing", Logits;
    /// Poly-1.
    Poly1(Poly1Config) = "poly1", Logits;
    /// Generalised cross entropy.
    GeneralizedCrossEntropy(GeneralizedCrossEntropyConfig) = "generalized_cross_entropy", Logits;
    /// Symmetric cross entropy.
    SymmetricCrossEntropy(SymmetricCrossEntropyConfig) = "symmetric_cross_entropy", Logits;
    /// Seesaw.
    Seesaw(SeesawConfig) = "seesaw", Logits;
    /// Influence-balanced.
    InfluenceBalanced(InfluenceBalancedConfig) = "influence_balanced", Logits;
    /// Asymmetric loss over a softmax.
    AsymmetricSingle(AsymmetricSingleConfig) = "asymmetric_single", Logits;
    /// Binary cross entropy.
    Bce(BceConfig) = "bce", Binary;
    /// α-balanced binary cross entropy.
    AlphaBce(AlphaBceConfig) = "alpha_bce", Binary;
    /// Sigmoid focal loss.
    SigmoidFocal(SigmoidFocalConfig) = "sigmoid_focal", Binary;
    /// Asymmetric loss.
    Asymmetric(AsymmetricConfig) = "asymmetric", Binary;
    /// Gradient-harmonised classification.
    GhmC(GhmCConfig) = "ghm_c", Binary;
    /// Equalisation loss.
    Equalization(EqualizationConfig) = "equalization", Binary;
    /// Equalisation loss v2.
    EqualizationV2(EqualizationV2Config) = "equalization_v2", Binary;
    /// Distribution-balanced loss.
    DistributionBalanced(DistributionBalancedConfig) = "distribution_balanced", Binary;
    /// Dice.
    Dice(DiceConfig) = "dice", Binary;
    /// Tversky and focal Tversky.
    Tversky(TverskyConfig) = "tversky", Binary;
    /// Lovász hinge.
    LovaszHinge(LovaszHingeConfig) = "lovasz_hinge", Binary;
    /// Pairwise AUC.
    PairwiseAuc(PairwiseAucConfig) = "pairwise_auc", Binary;
    /// AUC margin.
    AucMargin(AucMarginConfig) = "auc_margin", Binary;
    /// One-way partial AUC.
    PartialAuc(PartialAucConfig) = "partial_auc", Binary;
    /// Average precision by SOAP.
    Soap(SoapConfig) = "soap", Binary;
    /// Bayesian personalised ranking.
    Bpr(BprConfig) = "bpr", Scores;
    /// Listwise softmax.
    Listwise(ListwiseConfig) = "listwise", Scores;
    /// Sampled softmax.
    SampledSoftmax(SampledSoftmaxConfig) = "sampled_softmax", Scores;
    /// In-batch contrastive softmax.
    InBatchSoftmax(InBatchSoftmaxConfig) = "in_batch_softmax", Scores;
    /// Supervised contrastive.
    SupCon(SupConConfig) = "sup_con", Embeddings;
    /// Balanced contrastive.
    BalancedContrastive(BalancedContrastiveConfig) = "balanced_contrastive", Embeddings;
    /// Parametric contrastive.
    PaCo(PaCoConfig) = "paco", Embeddings;
    /// ArcFace.
    ArcFace(ArcFaceConfig) = "arc_face", Cosines;
    /// CosFace.
    CosFace(CosFaceConfig) = "cos_face", Cosines;
    /// Regression focused on large errors.
    FocalR(FocalRConfig) = "focal_r", Values;
    /// Balanced mean squared error.
    BalancedMse(BalancedMseConfig) = "balanced_mse", Values;
    /// Any loss with class weights.
    ClassWeighted(ClassWeightedConfig) = "class_weighted", Inner;
    /// Any loss with smoothed targets.
    Smoothed(SmoothedConfig) = "smoothed", Inner;
    /// One loss first, another later.
    Deferred(DeferredConfig) = "deferred", Inner;
    /// A gradual change from one loss to another.
    Annealed(AnnealedConfig) = "annealed", Inner;
    /// Any loss with weights per training row.
    SampleWeighted(SampleWeightedConfig) = "sample_weighted", Inner;
    /// Any loss weighted against popularity.
    InversePropensity(InversePropensityConfig) = "inverse_propensity", Inner;
    /// Any loss without the rows of an ignore index.
    IgnoreIndex(IgnoreIndexConfig) = "ignore_index", Inner;
    /// Any loss with a teacher.
    Distillation(DistillationConfig) = "distillation", Inner;
}

impl LossConfig {
    /// What the loss takes; for a wrapper, what the loss inside takes. Of two losses that
    /// differ, the one that does not take logits is named.
    pub fn input(&self) -> Input {
        let both = |first: &Self, then: &Self| match first.input() {
            Input::Logits | Input::Binary => then.input(),
            other => other,
        };
        match self {
            Self::ClassWeighted(c) => c.loss.input(),
            Self::Smoothed(c) => c.loss.input(),
            Self::Deferred(c) => both(&c.first, &c.then),
            Self::Annealed(c) => both(&c.first, &c.then),
            Self::SampleWeighted(c) => c.loss.input(),
            Self::InversePropensity(c) => c.loss.input(),
            Self::IgnoreIndex(c) => c.loss.input(),
            Self::Distillation(c) => c.loss.input(),
            other => other.kind().input(),
        }
    }
}

impl Default for LossConfig {
    /// Plain cross entropy.
    fn default() -> Self {
        CrossEntropyConfig::new().into()
    }
}
