//! Turning texts into ids.

mod ngrams;
mod tokenizer;
mod vocabulary;

use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use ngrams::HashedNgrams;
pub use tokenizer::{Pieces, Spans, TextTokenizer, Truncation};

use crate::{Encoded, Error, Result};

/// What turns a text into ids, fitted on a corpus and saved with the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Featurizer {
    /// Hashed word n-grams with TF-IDF weights.
    Ngrams(HashedNgrams),
    /// Subwords.
    Tokens(TextTokenizer),
}

impl Featurizer {
    /// Encodes one text. An empty text is a valid input: one padding id, weight 0 for
    /// n-grams, the special tokens for subwords.
    ///
    /// # Errors
    /// When the tokeniser fails.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        match self {
            Self::Ngrams(f) => Ok(f.encode(text)),
            Self::Tokens(f) => f.encode(text),
        }
    }

    /// Encodes many texts in parallel, in order.
    ///
    /// # Errors
    /// When the tokeniser fails on any.
    pub fn encode_all<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Vec<Encoded>> {
        texts.par_iter().map(|t| self.encode(t.as_ref())).collect()
    }

    /// One more than the largest id.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Ngrams(f) => f.vocabulary(),
            Self::Tokens(f) => f.vocabulary(),
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Ngrams(_) => "n-gram",
            Self::Tokens(_) => "subword",
        }
    }

    pub(crate) fn from_json(path: &Path, text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|e| Error::Format { path: path.to_owned(), reason: e.to_string() })
    }
}
