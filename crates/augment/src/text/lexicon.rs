use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::Substitutes;
use crate::{Error, Result};

/// Synonyms by word.
///
/// The bundled one has 2,491 English words with synonyms of their most frequent sense, from WordNet
/// (Miller 1995; Princeton University's licence is beside the file).
///
/// ```
/// use counterweight_augment::Lexicon;
///
/// let lexicon = Lexicon::english();
/// assert_eq!(lexicon.synonyms("Hazard"), ["risk", "jeopardy", "peril"]);
/// let own = Lexicon::from_groups([["order", "purchase"], ["发货", "寄出"]]);
/// assert_eq!(own.synonyms("purchase"), ["order"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Lexicon {
    words: HashMap<String, Vec<String>>,
}

impl Lexicon {
    /// The bundled English lexicon.
    pub fn english() -> Self {
        let text = include_str!("../../lexicon/english.tsv");
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        let words = lines.map(|(word, others)| {
            (word.to_owned(), others.split(' ').map(str::to_owned).collect())
        });
        Self { words: words.collect() }
    }

    /// Each word of a group is a synonym of the others.
    pub fn from_groups<G, W>(groups: impl IntoIterator<Item = G>) -> Self
    where
        G: IntoIterator<Item = W>,
        W: AsRef<str>,
    {
        let mut lexicon = Self::default();
        for group in groups {
            let group: Vec<String> =
                group.into_iter().map(|w| w.as_ref().trim().to_lowercase()).collect();
            for word in group.iter().filter(|w| !w.is_empty()) {
                let own = lexicon.words.entry(word.clone()).or_default();
                for other in group.iter().filter(|o| *o != word && !o.is_empty()) {
                    if !own.contains(other) {
                        own.push(other.clone());
                    }
                }
            }
        }
        lexicon
    }

    /// Reads groups, one per line, words by tabs; empty lines and those after `#` are skipped.
    ///
    /// # Errors
    /// When the file is missing or not UTF-8, and for a line of a single word.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| {
            Error::Core(counterweight_core::Error::Io { path: path.to_owned(), source })
        })?;
        let mut groups = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let group: Vec<&str> = line.split('\t').filter(|w| !w.trim().is_empty()).collect();
            if group.len() < 2 {
                let reason = format!("line {}: one word has no synonym; words by tabs", at + 1);
                return Err(Error::Format { path: path.to_owned(), reason });
            }
            groups.push(group);
        }
        Ok(Self::from_groups(groups))
    }

    /// Synonyms of a word, in whatever case; none for an unknown one.
    pub fn synonyms(&self, word: &str) -> &[String] {
        match self.words.get(word) {
            Some(found) => found,
            None => self.words.get(&word.to_lowercase()).map_or(&[], Vec::as_slice),
        }
    }
}

impl Substitutes for Lexicon {
    fn candidates(&self, text: &str, word: Range<usize>) -> Result<Vec<String>> {
        let word = text.get(word).unwrap_or_default();
        Ok(self.synonyms(word).iter().map(|s| cased_as(word, s)).collect())
    }
}

/// A synonym written as the word was: `Help` → `Aid`, `HELP` → `AID`.
pub(super) fn cased_as(word: &str, synonym: &str) -> String {
    let mut letters = word.chars().filter(|c| c.is_alphabetic());
    let first = letters.next().is_some_and(char::is_uppercase);
    let mut rest = letters.peekable();
    if first && rest.peek().is_some() && rest.all(char::is_uppercase) {
        return synonym.to_uppercase();
    }
    if !first {
        return synonym.to_owned();
    }
    let mut chars = synonym.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}
