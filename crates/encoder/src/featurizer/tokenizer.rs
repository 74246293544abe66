use std::collections::BTreeMap;
use std::path::Path;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};
use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{
    AddedToken, DecoderWrapper, EncodeInput, Normalizer, NormalizerWrapper, OffsetReferential,
    OffsetType, PostProcessorWrapper, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    Tokenizer, TokenizerBuilder, TokenizerImpl, TruncationParams, TruncationStrategy,
};

use super::vocabulary;
use crate::{Encoded, Error, Result, TransformerConfig};

/// The corpus's words as the tokenizer will see them, with their frequencies.
fn count_words<S: AsRef<str>>(
    corpus: &[S],
    normalizer: Option<&BertNormalizer>,
    splitter: &impl PreTokenizer,
) -> Result<BTreeMap<String, u64>> {
    let mut words = BTreeMap::new();
    for text in corpus {
        let mut text = PreTokenizedString::from(text.as_ref());
        if let Some(normalizer) = normalizer {
            text.normalize(|t| normalizer.normalize(t)).map_err(failed)?;
        }
        splitter.pre_tokenize(&mut text).map_err(failed)?;
        for (word, ..) in text.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    Ok(words)
}

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
/// RoBERTa's, padding first.
const SPECIAL_BPE: [&str; 5] = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"];

/// What kind of vocabulary is learnt from a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pieces {
    /// BERT's: lower case, no accents, words cut into pieces; a word with an unknown character is
    /// one unknown token.
    #[default]
    WordPiece,
    /// GPT-2's and RoBERTa's BPE over bytes: case and every character are kept, and nothing is
    /// unknown.
    ByteLevelBpe,
}

/// Which text of a pair is cut when both together are too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Token by token from whichever is longer.
    #[default]
    LongestFirst,
    /// The first text.
    OnlyFirst,
    /// The second text.
    OnlySecond,
}

/// A text's tokens with their places in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Spans {
    /// The ids.
    pub encoded: Encoded,
    /// The tokens as written in the vocabulary.
    pub tokens: Vec<String>,
    /// Bytes `start..end` of each token in the text; `0..0` for special tokens.
    pub offsets: Vec<(usize, usize)>,
    /// 1 for special tokens.
    pub special: Vec<bool>,
}

/// A subword tokenizer (WordPiece, BPE or Unigram) of a checkpoint or learnt from a corpus,
/// with its special tokens. A text is cut at a maximum length; batches are padded by
/// [`TextBatch`](crate::TextBatch).
///
/// Serialises as the content of a `tokenizer.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TextTokenizer {
    // Boxed, since a tokenizer is many times larger than any other featurizer.
    tokenizer: Box<Tokenizer>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Tokenizer { reason: error.to_string() }
}

impl TextTokenizer {
    /// Learns a WordPiece vocabulary of at most `size` pieces from a corpus, the same for the
    /// same corpus; texts are cut at `max_length` pieces.
    ///
    /// # Errors
    /// When the corpus gives no vocabulary.
    pub fn train<S: AsRef<str> + Sync>(
        corpus: &[S],
        size: usize,
        max_length: usize,
    ) -> Result<Self> {
        let normalizer = BertNormalizer::default();
        let words = count_words(corpus, Some(&normalizer), &BertPreTokenizer)?;
        let learnt = vocabulary::learn(&words, &SPECIAL, [], "##", size);
        Self::bert(learnt.pieces, normalizer, max_length)
    }

    /// Learns a byte-level BPE vocabulary (Sennrich et al., ACL 2016; Radford et al. 2019) of at
    /// most `size` pieces, but at least the 256 bytes and RoBERTa's special tokens, the same for
    /// the same corpus; texts are cut at `max_length` pieces.
    ///
    /// ```
    /// use counterweight_encoder::TextTokenizer;
    ///
    /// let tokenizer = TextTokenizer::train_bpe(&["low lower lowest", "low and new"], 300, 16)?;
    /// let tokens = tokenizer.spans("lower löwe 🦁")?.tokens;
    /// assert_eq!(tokens[..2], ["<s>", "low"]);
    /// assert!(!tokens.contains(&"<unk>".to_owned()));
    /// # Ok::<(), counterweight_encoder::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the tokenizer refuses the vocabulary, or `max_length` leaves no room for the special
    /// tokens.
    pub fn train_bpe<S: AsRef<str> + Sync>(
        corpus: &[S],
        size: usize,
        max_length: usize,
    ) -> Result<Self> {
        let bytes = ByteLevel::default().add_prefix_space(false);
        let words = count_words(corpus, None, &bytes)?;
        let learnt = vocabulary::learn(&words, &SPECIAL_BPE, ByteLevel::alphabet(), "", size);
        let vocabulary: AHashMap<String, u32> = learnt.pieces.into_iter().zip(0..).collect();
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, learnt.merges)
            .unk_token("<unk>".into())
            .build()
            .map_err(failed)?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(bytes)).with_decoder(Some(bytes));
        tokenizer.add_special_tokens(&SPECIAL_BPE.map(|t| AddedToken::from(t, true)));
        let processing = RobertaProcessing::new(("</s>".into(), 3), ("<s>".into(), 2));
        tokenizer.with_post_processor(Some(processing.add_prefix_space(false)));
        Self::new(tokenizer, max_length)
    }

    /// BERT's tokenisation with the pieces of a `vocab.txt`, one a line.
    ///
    /// # Errors
    /// When the file cannot be read or lacks a special token.
    pub fn from_vocab(path: impl AsRef<Path>, lowercase: bool, max_length: usize) -> Result<Self> {
        let text = read(path.as_ref())?;
        let pieces = text.lines().map(str::to_owned).collect();
        let normalizer = BertNormalizer::new(true, true, None, lowercase);
        Self::bert(pieces, normalizer, max_length)
    }

    /// Normalise, split at blanks and punctuation, WordPiece, `[CLS]` before and `[SEP]`
    /// after each text.
    fn bert(pieces: Vec<String>, normalizer: BertNormalizer, max_length: usize) -> Result<Self> {
        let model = WordPiece::builder()
            .vocab(pieces.into_iter().zip(0..).collect::<AHashMap<_, _>>())
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
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .ok_or_else(|| failed(format!("no {token} in the vocabulary")))
        };
        let (cls, sep) = (id("[CLS]")?, id("[SEP]")?);
        for token in SPECIAL {
            id(token)?;
        }
        tokenizer.add_special_tokens(&SPECIAL.map(|t| AddedToken::from(t, true)));
        let processing = BertProcessing::new(("[SEP]".into(), sep), ("[CLS]".into(), cls));
        tokenizer.with_post_processor(Some(PostProcessorWrapper::from(processing)));
        Self::new(tokenizer.into(), max_length)
    }

    /// Reads a `tokenizer.json`. Padding and truncation stored in it are replaced.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, or `max_length` leaves no room for the special
    /// tokens.
    pub fn from_file(path: impl AsRef<Path>, max_length: usize) -> Result<Self> {
        let path = path.as_ref();
        let format = |reason: String| Error::Format { path: path.to_owned(), reason };
        let tokenizer = read(path)?.parse().map_err(|e| format(format!("{e}")))?;
        Self::new(tokenizer, max_length)
    }

    /// The tokenizer beside a checkpoint's weights: `tokenizer.json`, else `vocab.txt`.
    /// `max_length` is at most the model's.
    ///
    /// # Errors
    /// When there is none, it cannot be parsed, it has ids that the model's embedding has not,
    /// or the length is out of range.
    pub fn for_checkpoint(
        dir: impl AsRef<Path>,
        config: &TransformerConfig,
        max_length: Option<usize>,
    ) -> Result<Self> {
        let dir = dir.as_ref();
        let longest = config.max_length();
        let length = max_length.unwrap_or(longest);
        let fits = (3..=longest).contains(&length);
        counterweight_core::ensure(
            "max_length",
            length as f64,
            fits,
            "[3, the model's positions]",
        )?;
        let vocab = dir.join("vocab.txt");
        let path = dir.join("tokenizer.json");
        let tokenizer = if !path.exists() && vocab.exists() {
            Self::from_vocab(vocab, lowercases(dir), length)?
        } else {
            Self::from_file(path, length)?
        };
        let ids = tokenizer.vocabulary();
        if ids > config.vocab_size {
            return Err(Error::Vocabulary { tokenizer: ids, model: config.vocab_size });
        }
        Ok(tokenizer)
    }

    /// Takes a tokenizer of the `tokenizers` crate.
    ///
    /// # Errors
    /// When `max_length` leaves no room for the special tokens.
    pub fn new(mut tokenizer: Tokenizer, max_length: usize) -> Result<Self> {
        let truncation = TruncationParams { max_length, ..Default::default() };
        tokenizer.with_padding(None).with_truncation(Some(truncation)).map_err(failed)?;
        Ok(Self { tokenizer: Box::new(tokenizer) })
    }

    /// Chooses which text of a pair is cut.
    ///
    /// # Errors
    /// When the tokenizer refuses it.
    pub fn with_truncation(mut self, truncation: Truncation) -> Result<Self> {
        let strategy = match truncation {
            Truncation::LongestFirst => TruncationStrategy::LongestFirst,
            Truncation::OnlyFirst => TruncationStrategy::OnlyFirst,
            Truncation::OnlySecond => TruncationStrategy::OnlySecond,
        };
        let old = self.tokenizer.get_truncation().cloned().unwrap_or_default();
        let new = TruncationParams { strategy, ..old };
        self.tokenizer.with_truncation(Some(new)).map_err(failed)?;
        Ok(self)
    }

    /// Encodes one text. A text without tokens is one padding id of weight 0.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        self.fast(text)
    }

    /// Encodes two texts as one input, with the special tokens and token types between them
    /// that the family has.
    ///
    /// # Errors
    /// When the tokenizer fails, or cutting the text that [`Truncation`] names does not
    /// suffice.
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Encoded> {
        self.fast((first, second))
    }

    fn fast<'a>(&self, input: impl Into<EncodeInput<'a>>) -> Result<Encoded> {
        let encoding = self.tokenizer.encode_fast(input, true).map_err(failed)?;
        Ok(encoded(&encoding))
    }

    /// The tokens of a text cut into words, and the number of each one's word.
    pub(crate) fn word_ids(&self, words: &[&str]) -> Result<(Encoded, Vec<Option<usize>>)> {
        // The fast way keeps no numbers of words.
        let encoding = self.tokenizer.encode(words, true).map_err(failed)?;
        let ids = encoding.get_word_ids().iter().map(|id| id.map(|id| id as usize));
        let mut ids: Vec<_> = ids.collect();
        let encoded = encoded(&encoding);
        // A text without tokens is one padding id.
        ids.resize(encoded.len(), None);
        Ok((encoded, ids))
    }

    /// A text's tokens, and whether none was cut off.
    pub(crate) fn encode_whole(&self, text: &str) -> Result<(Encoded, bool)> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(failed)?;
        Ok((encoded(&encoding), encoding.get_overflowing().is_empty()))
    }

    /// The byte after each token of a text that is not special, in order, as far as a text goes.
    pub(crate) fn ends(&self, text: &str) -> Result<Vec<usize>> {
        let spans = self.spans(text)?;
        let tokens = spans.offsets.iter().zip(&spans.special).filter(|(_, special)| !**special);
        let mut ends: Vec<usize> = tokens.map(|(&(_, end), _)| end).collect();
        ends.dedup();
        Ok(ends)
    }

    /// Encodes one text and says where each token stands in it.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn spans(&self, text: &str) -> Result<Spans> {
        let encoding = self.tokenizer.encode(text, true).map_err(failed)?;
        Ok(Spans {
            encoded: encoded(&encoding),
            tokens: encoding.get_tokens().to_vec(),
            offsets: encoding.get_offsets().to_vec(),
            special: encoding.get_special_tokens_mask().iter().map(|&s| s == 1).collect(),
        })
    }

    /// The id of a token as written in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The piece of an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// The id of the mask token, `[MASK]` or `<mask>`.
    ///
    /// # Errors
    /// When the vocabulary has neither.
    pub fn mask_id(&self) -> Result<u32> {
        let id = self.id("[MASK]").or_else(|| self.id("<mask>"));
        id.ok_or_else(|| failed("no mask token in the vocabulary"))
    }

    /// The ids of special tokens.
    pub fn special_ids(&self) -> Vec<u32> {
        let added = self.tokenizer.get_added_tokens_decoder();
        added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id).collect()
    }

    /// The number of pieces, special ones included: at most [`vocabulary`](Self::vocabulary),
    /// and found without a look at each.
    pub(crate) fn pieces(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// One more than the largest id.
    pub fn vocabulary(&self) -> usize {
        let ids = self.tokenizer.get_vocab(true).into_values();
        ids.max().map_or(0, |id| id as usize + 1)
    }

    /// The content of a `tokenizer.json` that other libraries read.
    ///
    /// # Errors
    /// When it cannot be serialised.
    pub fn to_json(&self) -> Result<String> {
        self.tokenizer.to_string(true).map_err(failed)
    }
}

fn encoded(encoding: &tokenizers::Encoding) -> Encoded {
    let ids = encoding.get_ids().to_vec();
    if ids.is_empty() {
        return Encoded { ids: vec![0], weights: vec![0.0], types: Vec::new() };
    }
    let types = encoding.get_type_ids();
    let types = if types.iter().all(|&t| t == 0) { Vec::new() } else { types.to_vec() };
    Encoded { weights: vec![1.0; ids.len()], ids, types }
}

fn read(path: &Path) -> Result<String> {
    let at = |source| counterweight_core::Error::Io { path: path.to_owned(), source };
    Ok(std::fs::read_to_string(path).map_err(at)?)
}

/// `do_lower_case` of a `tokenizer_config.json`; true where there is none, as for BERT.
fn lowercases(dir: &Path) -> bool {
    let config = read(&dir.join("tokenizer_config.json")).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap_or_default();
    config.get("do_lower_case").and_then(serde_json::Value::as_bool).unwrap_or(true)
}
