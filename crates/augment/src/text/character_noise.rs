use counterweight_core::{Rng, ensure, rng};
use rand::RngExt;
use rand::seq::IndexedRandom;
use unicode_segmentation::UnicodeSegmentation;

use super::pieces::Pieces;
use super::{Protection, TextAugmenter, Words, count};
use crate::macros::config;
use crate::{Result, Strength};

config! {
    /// Typing errors (Belinkov and Bisk, ICLR 2018): in a share of the words one character is left
    /// out, doubled, swapped with the next, or replaced by its neighbour on the keyboard.
    ///
    /// Characters are those a reader sees, so that an accent or emoji is never torn apart; words
    /// shorter than three are left.
    CharacterNoise {
        /// Share of the words, in `[0, 1]`. Default: 0.1.
        with_rate(rate: f64 = 0.1),
        /// Patterns of what is never touched, see [`Protection`]. Default: none.
        with_protect(protect: Vec<String> = Vec::new()),
        /// By class, in a recipe. Default: the same for all.
        with_strength(strength: Strength = Strength::Same),
    }
}

impl CharacterNoise {
    /// Checks the rate and reads the patterns.
    ///
    /// # Errors
    /// When the rate is out of range or a pattern cannot be read.
    pub fn init(&self) -> Result<CharacterNoiser> {
        self.strength.check()?;
        ensure("rate", self.rate, (0.0..=1.0).contains(&self.rate), "[0, 1]")?;
        Ok(CharacterNoiser { rate: self.rate, protection: Protection::new(&self.protect)? })
    }
}

/// See [`CharacterNoise`].
#[derive(Debug, Clone)]
pub struct CharacterNoiser {
    rate: f64,
    protection: Protection,
}

/// Rows of a keyboard: neighbours are side by side.
const KEYS: [&str; 4] = ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"];
const SHORTEST: usize = 3;

impl TextAugmenter for CharacterNoiser {
    fn augment(&self, text: &str, strength: f64, seed: u64) -> Result<String> {
        let mut rng = rng(seed);
        let mut pieces = Pieces::of(text, &Words, &self.protection);
        let long = |at: &usize| pieces.word(*at).graphemes(true).nth(SHORTEST - 1).is_some();
        let words: Vec<usize> = pieces.words().into_iter().filter(long).collect();
        let n = count(self.rate * strength, words.len());
        let chosen: Vec<usize> = words.sample(&mut rng, n).copied().collect();
        for at in chosen {
            let wrong = misspell(pieces.word(at), &mut rng);
            pieces.replace(at, wrong);
        }
        Ok(pieces.text())
    }
}

fn misspell(word: &str, rng: &mut Rng) -> String {
    let mut letters: Vec<&str> = word.graphemes(true).collect();
    let at = rng.random_range(0..letters.len());
    let mut other = String::new();
    match rng.random_range(0..4) {
        0 => {
            letters.remove(at);
        }
        1 => letters.insert(at, letters[at]),
        2 => {
            let at = at.min(letters.len() - 2);
            letters.swap(at, at + 1);
        }
        _ => {
            if let Some(key) = neighbour(letters[at], rng) {
                other.push(key);
                letters[at] = &other;
            } else {
                letters.remove(at);
            }
        }
    }
    letters.concat()
}

/// A key beside that of a letter, in the letter's case.
fn neighbour(letter: &str, rng: &mut Rng) -> Option<char> {
    let mut chars = letter.chars();
    let (Some(c), None) = (chars.next(), chars.next()) else {
        return None;
    };
    let low = c.to_ascii_lowercase();
    let row = KEYS.iter().find(|row| row.contains(low))?;
    let at = row.find(low)?;
    let beside: Vec<char> = [at.wrapping_sub(1), at + 1]
        .into_iter()
        .filter_map(|i| row.as_bytes().get(i).map(|b| char::from(*b)))
        .collect();
    let key = *beside.choose(rng)?;
    Some(if c.is_ascii_uppercase() { key.to_ascii_uppercase() } else { key })
}
