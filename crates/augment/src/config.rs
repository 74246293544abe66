use serde::{Deserialize, Serialize};

use crate::{Mixup, TokenDropout};

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
