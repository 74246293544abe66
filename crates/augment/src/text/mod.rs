//! Texts: words replaced, inserted, swapped, removed, misspelt, translated back.

mod back_translation;
mod character_noise;
mod eda;
mod lexicon;
mod pieces;
mod protect;
mod segment;
mod substitution;

use std::fmt::Debug;

use counterweight_core::{derive, ensure_length};
use rayon::prelude::*;

pub use back_translation::{BackTranslation, BackTranslator, Translator};
pub use character_noise::{CharacterNoise, CharacterNoiser};
pub use eda::{Eda, EdaAugmenter};
pub use lexicon::Lexicon;
pub use protect::Protection;
#[cfg(feature = "jieba")]
pub use segment::Jieba;
pub use segment::{Characters, Segmenter, Words};
pub use substitution::{Substitutes, Substitution, SubstitutionAugmenter};

use crate::Result;

/// Changes a text; the label stays what it was.
///
/// ```
/// use counterweight_augment::{Eda, TextAugmenter};
///
/// let eda = Eda::new().with_protect(vec!["iPhone \\d+".to_owned()]).init()?;
/// let text = "my iPhone 15 is broken and i need help to select a new one";
/// let changed = eda.augment(text, 1.0, 7)?;
/// assert_ne!(changed, text);
/// assert!(changed.contains("iPhone 15"));
/// // Strength 0 changes nothing.
/// assert_eq!(eda.augment(text, 0.0, 7)?, text);
/// # Ok::<(), counterweight_augment::Error>(())
/// ```
pub trait TextAugmenter: Debug + Send + Sync {
    /// The changed text. Rates are multiplied by the strength, in `[0, 1]`; a text without
    /// anything that may be changed comes back as it is. The same seed draws the same.
    ///
    /// # Errors
    /// When an external step, such as a model or a translator, fails.
    fn augment(&self, text: &str, strength: f64, seed: u64) -> Result<String>;

    /// All texts, in parallel: text `i` with the strength of its class and the `i`-th stream of
    /// the seed. [`Strength::of`](crate::Strength::of) gives the strengths.
    ///
    /// # Errors
    /// As [`augment`](Self::augment), for classes as many as texts, and for a class without a
    /// strength.
    fn augment_all(
        &self,
        texts: &[String],
        classes: &[usize],
        strengths: &[f64],
        seed: u64,
    ) -> Result<Vec<String>> {
        ensure_length("classes", classes.len(), texts.len())?;
        if let Some(row) = classes.iter().position(|class| *class >= strengths.len()) {
            let (id, classes) = (classes[row], strengths.len());
            return Err(counterweight_core::Error::ClassId { id, row, classes }.into());
        }
        let each = texts.par_iter().zip(classes).enumerate();
        each.map(|(i, (text, &class))| self.augment(text, strengths[class], derive(seed, i as u64)))
            .collect()
    }
}

/// How many of `n` words a rate means: at least one where the rate is not 0, as in EDA's code.
fn count(rate: f64, n: usize) -> usize {
    if rate <= 0.0 || n == 0 {
        return 0;
    }
    ((rate * n as f64) as usize).clamp(1, n)
}
