use serde::{Deserialize, Serialize};

use crate::{Mixup, Result, TokenDropout};

/// Any augmenter, as a value: in TOML, `kind = "mixup"` and its fields.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AugmentConfig {
    /// The batch as it is.
    #[default]
    None,
    /// Mixup.
    Mixup(Mixup),
    /// Token dropout.
    TokenDropout(TokenDropout),
}

impl AugmentConfig {
    /// Checks the parameters' ranges.
    ///
    /// # Errors
    /// Naming the parameter, its value and the range.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Mixup(config) => config.init().map(|_| ()),
            Self::TokenDropout(config) => config.init().map(|_| ()),
        }
    }
}
