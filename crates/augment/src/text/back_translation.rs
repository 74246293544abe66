use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Protection, TextAugmenter};
use crate::{Error, Result};

/// A translator of the user: a model, or a service.
pub trait Translator: Debug + Send + Sync {
    /// The text in another language.
    ///
    /// # Errors
    /// Whatever goes wrong, as a message.
    fn translate(&self, text: &str, from: &str, to: &str) -> std::result::Result<String, String>;
}

/// Back-translation (Sennrich et al., ACL 2016): to another language and back.
///
/// A text comes back as it was when it is empty or a protected span got lost on the way. There are
/// no rates: a strength below ½ leaves a text alone.
///
/// ```
/// use std::sync::Arc;
/// use counterweight_augment::{BackTranslation, TextAugmenter, Translator};
///
/// #[derive(Debug)]
/// struct Words;
/// impl Translator for Words {
///     fn translate(&self, text: &str, _from: &str, to: &str) -> Result<String, String> {
///         Ok(if to == "de" { text.replace("fast", "schnell") } else { text.replace("schnell", "quick") })
///     }
/// }
/// let back = BackTranslation::new("en", "de").init(Arc::new(Words))?;
/// assert_eq!(back.augment("fast delivery", 1.0, 0)?, "quick delivery");
/// # Ok::<(), counterweight_augment::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackTranslation {
    /// The texts' language, as the translator names it.
    pub language: String,
    /// The language between.
    pub pivot: String,
    /// Patterns of what must survive, see [`Protection`].
    #[serde(default)]
    pub protect: Vec<String>,
}

impl BackTranslation {
    /// From a language to another and back.
    pub fn new(language: impl Into<String>, pivot: impl Into<String>) -> Self {
        Self { language: language.into(), pivot: pivot.into(), protect: Vec::new() }
    }

    /// Sets the patterns of what must survive.
    #[must_use]
    pub fn with_protect(mut self, protect: Vec<String>) -> Self {
        self.protect = protect;
        self
    }

    /// With a translator.
    ///
    /// # Errors
    /// When a pattern cannot be read.
    pub fn init(&self, translator: Arc<dyn Translator>) -> Result<BackTranslator> {
        let protection = Protection::new(&self.protect)?;
        Ok(BackTranslator { config: self.clone(), translator, protection })
    }
}

/// See [`BackTranslation`].
#[derive(Debug, Clone)]
pub struct BackTranslator {
    config: BackTranslation,
    translator: Arc<dyn Translator>,
    protection: Protection,
}

impl TextAugmenter for BackTranslator {
    fn augment(&self, text: &str, strength: f64, _seed: u64) -> Result<String> {
        if text.trim().is_empty() || strength < 0.5 {
            return Ok(text.to_owned());
        }
        let BackTranslation { language, pivot, .. } = &self.config;
        let failed = |reason| Error::External { step: "translation", reason };
        let there = self.translator.translate(text, language, pivot).map_err(failed)?;
        let back = self.translator.translate(&there, pivot, language).map_err(failed)?;
        let spans = self.protection.spans(text);
        let kept = spans.into_iter().all(|span| back.contains(&text[span]));
        Ok(if kept && !back.trim().is_empty() { back } else { text.to_owned() })
    }
}
