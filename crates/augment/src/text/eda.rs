use std::sync::Arc;

use counterweight_core::{Rng, ensure, rng};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};

use super::lexicon::cased_as;
use super::pieces::Pieces;
use super::{Lexicon, Protection, Segmenter, TextAugmenter, Words, count};
use crate::macros::config;
use crate::{Result, Strength};

config! {
    /// Easy data augmentation (Wei and Zou, EMNLP 2019): of the four operations with a rate above 0,
    /// one is drawn for a text.
    ///
    /// A rate is the share of the words that an operation changes, at least one; for removal
    /// each word's probability, and one word always stays.
    Eda {
        /// Words replaced by a synonym, in `[0, 1]`. Default: 0.1.
        with_synonyms(synonyms: f64 = 0.1),
        /// Synonyms of words put in elsewhere, in `[0, 1]`. Default: 0.1.
        with_insertions(insertions: f64 = 0.1),
        /// Pairs of words that change places, in `[0, 1]`. Default: 0.1.
        with_swaps(swaps: f64 = 0.1),
        /// Words removed, in `[0, 1)`. Default: 0.1.
        with_deletions(deletions: f64 = 0.1),
        /// Patterns of what is never touched, see [`Protection`]. Default: none.
        with_protect(protect: Vec<String> = Vec::new()),
        /// By class, in a recipe. Default: the same for all.
        with_strength(strength: Strength = Strength::Same),
    }
}

impl Eda {
    /// With the bundled English lexicon and words by Unicode's rules.
    ///
    /// # Errors
    /// When a rate is out of range or a pattern cannot be read.
    pub fn init(&self) -> Result<EdaAugmenter> {
        self.init_with(Arc::new(Lexicon::english()), Arc::new(Words))
    }

    /// With another lexicon, and words by another segmenter: for Chinese
    /// [`Words`] go by characters, `Jieba` by words.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn init_with(
        &self,
        lexicon: Arc<Lexicon>,
        segmenter: Arc<dyn Segmenter>,
    ) -> Result<EdaAugmenter> {
        self.strength.check()?;
        let rates =
            [("synonyms", self.synonyms), ("insertions", self.insertions), ("swaps", self.swaps)];
        for (name, rate) in rates {
            ensure(name, rate, (0.0..=1.0).contains(&rate), "[0, 1]")?;
        }
        ensure("deletions", self.deletions, (0.0..1.0).contains(&self.deletions), "[0, 1)")?;
        let protection = Protection::new(&self.protect)?;
        Ok(EdaAugmenter { rates: self.clone(), lexicon, segmenter, protection })
    }
}

/// See [`Eda`].
#[derive(Debug, Clone)]
pub struct EdaAugmenter {
    rates: Eda,
    lexicon: Arc<Lexicon>,
    segmenter: Arc<dyn Segmenter>,
    protection: Protection,
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Synonyms,
    Insertions,
    Swaps,
    Deletions,
}

impl TextAugmenter for EdaAugmenter {
    fn augment(&self, text: &str, strength: f64, seed: u64) -> Result<String> {
        let mut rng = rng(seed);
        let operations = [
            (Operation::Synonyms, self.rates.synonyms),
            (Operation::Insertions, self.rates.insertions),
            (Operation::Swaps, self.rates.swaps),
            (Operation::Deletions, self.rates.deletions),
        ];
        let possible: Vec<_> = operations.iter().filter(|o| o.1 * strength > 0.0).collect();
        let Some((operation, rate)) = possible.choose(&mut rng) else {
            return Ok(text.to_owned());
        };
        let mut pieces = Pieces::of(text, self.segmenter.as_ref(), &self.protection);
        let words = pieces.words();
        let n = count(rate * strength, words.len());
        match operation {
            Operation::Synonyms => self.replace(&mut pieces, words, n, &mut rng),
            Operation::Insertions => self.insert(&mut pieces, &words, n, &mut rng),
            Operation::Swaps => {
                for _ in 0..if words.len() > 1 { n } else { 0 } {
                    let pair: Vec<_> = words.sample(&mut rng, 2).copied().collect();
                    pieces.swap(pair[0], pair[1]);
                }
            }
            Operation::Deletions => {
                let stays = words.choose(&mut rng).copied();
                for at in words {
                    if rng.random::<f64>() < rate * strength && Some(at) != stays {
                        pieces.remove(at);
                    }
                }
            }
        }
        Ok(pieces.text())
    }
}

impl EdaAugmenter {
    /// A synonym for each of `n` words that have one.
    fn replace(&self, pieces: &mut Pieces, mut words: Vec<usize>, n: usize, rng: &mut Rng) {
        words.shuffle(rng);
        let mut left = n;
        for at in words {
            if left == 0 {
                break;
            }
            if let Some(synonym) = self.lexicon.synonyms(pieces.word(at)).choose(rng) {
                let synonym = cased_as(pieces.word(at), synonym);
                pieces.replace(at, synonym);
                left -= 1;
            }
        }
    }

    /// `n` times a synonym of a random word behind another.
    fn insert(&self, pieces: &mut Pieces, words: &[usize], n: usize, rng: &mut Rng) {
        let known: Vec<String> = words
            .iter()
            .filter_map(|&at| self.lexicon.synonyms(pieces.word(at)).choose(rng).cloned())
            .collect();
        for _ in 0..n {
            if let (Some(synonym), Some(&at)) = (known.choose(rng), words.choose(rng)) {
                pieces.insert_after(at, synonym);
            }
        }
    }
}
