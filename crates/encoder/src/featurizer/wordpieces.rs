use serde::{Deserialize, Serialize};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainerBuilder};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Tokenizer, TokenizerBuilder, TokenizerImpl, TruncationParams,
};

use crate::{Encoded, Error, Result};

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// BERT's tokenisation: normalise, split at blanks and punctuation, WordPiece, with
/// `[CLS]` before and `[SEP]` after. The text is cut at a maximum length.
///
/// Serialises as the content of a `tokenizer.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WordPieces {
    tokenizer: Tokenizer,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Tokenizer { reason: error.to_string() }
}

impl WordPieces {
    /// Trains a vocabulary of at most `size` pieces on a corpus; texts are cut at
    /// `max_length` pieces.
    ///
    /// # Errors
    /// When the corpus gives no vocabulary.
    pub fn train<S: AsRef<str> + Sync>(
        corpus: &[S],
        size: usize,
        max_length: usize,
    ) -> Result<Self> {
        let special = SPECIAL.map(|t| AddedToken::from(t, true)).to_vec();
        let mut trainer = WordPieceTrainerBuilder::new()
            .vocab_size(size)
            .min_frequency(2)
            .special_tokens(special)
            .show_progress(false)
            .build();
        let mut tokenizer: TokenizerImpl<
            WordPiece,
            NormalizerWrapper,
            PreTokenizerWrapper,
            PostProcessorWrapper,
            DecoderWrapper,
        > = TokenizerBuilder::new()
            .with_model(WordPiece::builder().unk_token("[UNK]".into()).build().map_err(failed)?)
            .with_normalizer(Some(BertNormalizer::default().into()))
            .with_pre_tokenizer(Some(BertPreTokenizer.into()))
            .build()
            .map_err(failed)?;
        tokenizer
            .train(&mut trainer, corpus.iter().map(|t| t.as_ref().to_owned()))
            .map_err(failed)?;
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
        Ok(Self { tokenizer })
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
