use burn::tensor::Device;
use counterweight_core::ClassProfile;
use serde::{Deserialize, Serialize};

use crate::{
    AlphaBceConfig, CrossEntropyConfig, DeferredConfig, FocalConfig, LogitAdjustedConfig, Loss,
    Result, SigmoidFocalConfig,
};

/// Declares [`LossConfig`]: a new loss is one line here.
macro_rules! losses {
    ($($(#[$doc:meta])* $variant:ident($config:ty) = $name:literal;)*) => {
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

        impl std::fmt::Display for LossKind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $name,)* })
            }
        }

        $(impl From<$config> for LossConfig {
            fn from(config: $config) -> Self { Self::$variant(config) }
        })*
    };
}

losses! {
    /// Cross entropy with class weights and smoothing.
    CrossEntropy(CrossEntropyConfig) = "cross_entropy";
    /// α-balanced binary cross entropy.
    AlphaBce(AlphaBceConfig) = "alpha_bce";
    /// Softmax focal loss.
    Focal(FocalConfig) = "focal";
    /// Sigmoid focal loss.
    SigmoidFocal(SigmoidFocalConfig) = "sigmoid_focal";
    /// Logit-adjusted cross entropy.
    LogitAdjusted(LogitAdjustedConfig) = "logit_adjusted";
    /// One loss first, another later.
    Deferred(DeferredConfig) = "deferred";
}

impl Default for LossConfig {
    /// Plain cross entropy.
    fn default() -> Self {
        CrossEntropyConfig::new().into()
    }
}
