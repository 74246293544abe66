use std::collections::BTreeMap;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{
    AddedToken, DecoderWrapper, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType,
    PostProcessorWrapper, PreTokenizedString, PreTokenizer, PreTokenizerWrapper, Tokenizer,
    TokenizerBuilder, TokenizerImpl, TruncationParams,
};

use super::vocabulary;
use crate::{Encoded, Error, Result};

/// The corpus's words as the tokenizer will see them, with their frequencies.
fn count_words<S: AsRef<str>>(
    corpus: &[S],
    normalizer: &BertNormalizer,
) -> Result<BTreeMap<String, u64>> {
    let mut words = BTreeMap::new();
    for text in corpus {
        let mut text = PreTokenizedString::from(text.as_ref());
        text.normalize(|t| normalizer.normalize(t)).map_err(failed)?;
        BertPreTokenizer.pre_tokenize(&mut text).map_err(failed)?;
        for (word, ..) in text.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    Ok(words)
}

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// BERT's tokenisation: normalise, split at blanks and punctuation, WordPiece, with
/// `[CLS]` before and `[SEP]` after. The text is cut at a maximum length.
///
/// Serialises as the content of a `tokenizer.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WordPieces {
    // Boxed, since a tokenizer is many times larger than any other featurizer.
    tokenizer: Box<Tokenizer>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Tokenizer { reason: error.to_string() }
}

impl WordPieces {
    /// Learns a vocabulary of at most `size` pieces from a corpus, the same for the same
    /// corpus; texts are cut at `max_length` pieces.
    ///
    /// # Errors
    /// When the corpus gives no vocabulary.
    pub fn train<S: AsRef<str> + Sync>(
        corpus: &[S],
        size: usize,
        max_length: usize,
    ) -> Result<Self> {
        let normalizer = BertNormalizer::default();
        let words = count_words(corpus, &normalizer)?;
        let vocabulary = vocabulary::learn(&words, &SPECIAL, size);
        let model = WordPiece::builder()
            .vocab(vocabulary.into_iter().zip(0..).collect::<AHashMap<_, _>>())
            .unk_token("[UNK]".into())
            .build()
            .map_err(failed)?;
        let mut tokenizer: TokenizerImpl<
            WordPiece,
            NormalizerWrapper,
            PreTokenizerWrapper,
            PostProcessorWrapper,
            DecoderWrapper,
        > = TokenizerBuilder::new()
            .with_model(model)
            .with_normalizer(Some(normalizer.into()))
            .with_pre_tokenizer(Some(BertPreTokenizer.into()))
            .build()
            .map_err(failed)?;
        tokenizer.add_special_tokens(&SPECIAL.map(|t| AddedToken::from(t, true)));
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| failed(format!("no {token} in the vocabulary")))
        };
        let (cls, sep) = (id("[CLS]")?, id("[SEP]")?);
        let processing = BertProcessing::new(("[SEP]".into(), sep), ("[CLS]".into(), cls));
        tokenizer.with_post_processor(Some(PostProcessorWrapper::from(processing)));
        Self::new(tokenizer.into(), max_length)
    }

    /// Takes a tokenizer as loaded from a `tokenizer.json`.
    ///
    /// # Errors
    /// When `max_length` leaves no room for the special tokens.
    pub fn new(mut tokenizer: Tokenizer, max_length: usize) -> Result<Self> {
        let truncation = TruncationParams { max_length, ..Default::default() };
        tokenizer.with_padding(None).with_truncation(Some(truncation)).map_err(failed)?;
        Ok(Self { tokenizer: Box::new(tokenizer) })
    }

    /// Encodes one text.
    ///
    /// # Errors
    /// When the tokeniser fails.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(failed)?;
        let ids = encoding.get_ids().to_vec();
        Ok(Encoded { weights: vec![1.0; ids.len()], ids })
    }

    /// The number of pieces.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }
}
