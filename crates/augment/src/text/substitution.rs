use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use counterweight_core::{derive, ensure, rng};
use rand::seq::{IndexedRandom, SliceRandom};

use super::pieces::Pieces;
use super::{Protection, Segmenter, TextAugmenter, Words, count};
use crate::Result;
use crate::macros::config;

/// Words that fit in the place of another: a [`Lexicon`](super::Lexicon), or a masked language model
/// that sees the whole text (Kobayashi, NAACL 2018).
pub trait Substitutes: Debug + Send + Sync {
    /// Candidates for the bytes `word` of the text; none when there is nothing better.
    ///
    /// # Errors
    /// When the model fails.
    fn candidates(&self, text: &str, word: Range<usize>) -> Result<Vec<String>>;
}

config! {
    /// Replaces a share of the words by what fits in their place.
    Substitution {
        /// Share of the words, in `[0, 1]`. Default: 0.15.
        with_rate(rate: f64 = 0.15),
        /// Patterns of what is never touched, see [`Protection`]. Default: none.
        with_protect(protect: Vec<String> = Vec::new()),
    }
}

impl Substitution {
    /// With a source of words, and words by Unicode's rules.
    ///
    /// # Errors
    /// When the rate is out of range or a pattern cannot be read.
    pub fn init(&self, source: Arc<dyn Substitutes>) -> Result<SubstitutionAugmenter> {
        self.init_with(source, Arc::new(Words))
    }

    /// With words by another segmenter.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn init_with(
        &self,
        source: Arc<dyn Substitutes>,
        segmenter: Arc<dyn Segmenter>,
    ) -> Result<SubstitutionAugmenter> {
        ensure("rate", self.rate, (0.0..=1.0).contains(&self.rate), "[0, 1]")?;
        let protection = Protection::new(&self.protect)?;
        Ok(SubstitutionAugmenter { rate: self.rate, source, segmenter, protection })
    }
}

/// See [`Substitution`].
#[derive(Debug, Clone)]
pub struct SubstitutionAugmenter {
    rate: f64,
    source: Arc<dyn Substitutes>,
    segmenter: Arc<dyn Segmenter>,
    protection: Protection,
}

impl TextAugmenter for SubstitutionAugmenter {
    fn augment(&self, text: &str, strength: f64, seed: u64) -> Result<String> {
        let mut pieces = Pieces::of(text, self.segmenter.as_ref(), &self.protection);
        let mut words = pieces.words();
        let mut left = count(self.rate * strength, words.len());
        words.shuffle(&mut rng(seed));
        for at in words {
            if left == 0 {
                break;
            }
            let word = pieces.word(at);
            let mut others = self.source.candidates(text, pieces.span(at))?;
            others.retain(|other| other.to_lowercase() != word.to_lowercase());
            if let Some(other) = others.choose(&mut rng(derive(seed, at as u64))) {
                pieces.replace(at, other.clone());
                left -= 1;
            }
        }
        Ok(pieces.text())
    }
}
