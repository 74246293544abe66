use serde::{Deserialize, Serialize};

use crate::{CharacterNoise, CutMix, Eda, Images, Mixup, Remix, Result, TokenDropout};

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
    /// Mixup with partners that are drawn class-aware from the whole training set.
    BalancedMixup(Mixup),
    /// Remix.
    Remix(Remix),
    /// CutMix.
    CutMix(CutMix),
    /// Image transforms.
    Images(Images),
    /// Token dropout.
    TokenDropout(TokenDropout),
    /// Easy data augmentation of the texts, with the bundled lexicon.
    Eda(Eda),
    /// Typing errors in the texts.
    CharacterNoise(CharacterNoise),
}

impl AugmentConfig {
    /// Checks the parameters' ranges.
    ///
    /// # Errors
    /// Naming the parameter, its value and the range.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Mixup(config) | Self::BalancedMixup(config) => config.init().map(|_| ()),
            Self::Remix(config) => config.check_ranges(),
            Self::CutMix(config) => config.init().map(|_| ()),
            Self::Images(config) => config.check(),
            Self::TokenDropout(config) => config.init().map(|_| ()),
            Self::Eda(config) => config.init().map(|_| ()),
            Self::CharacterNoise(config) => config.init().map(|_| ()),
        }
    }
}
