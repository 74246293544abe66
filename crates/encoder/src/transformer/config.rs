use burn::nn::EmbeddingConfig;
use burn::tensor::Device;
use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use super::dense::Dense;
use super::dropout::Dropout;
use super::embeddings::Embeddings;
use super::norm::Norm;
use super::relative::{BUCKETS, RelativeBias};
use super::{Block, Pooling, Transformer};
use crate::{Error, Pieces, Result};

/// A family of transformers: how its layers are put together, and what its tensors are
/// called in a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Architecture {
    /// BERT (Devlin et al., NAACL 2019) and MiniLM (Wang et al., NeurIPS 2020).
    #[default]
    Bert,
    /// RoBERTa (Liu et al. 2019): positions counted from the padding id on.
    Roberta,
    /// XLM-RoBERTa (Conneau et al., ACL 2020) and multilingual E5 (Wang et al. 2024): RoBERTa
    /// with another vocabulary.
    XlmRoberta,
    /// DistilBERT (Sanh et al. 2019): no token types, no pooler.
    Distilbert,
    /// MPNet (Song et al., NeurIPS 2020): relative position biases besides positions.
    Mpnet,
    /// GPT-2 (Radford et al. 2019): a causal decoder with norms before the layers, used as
    /// a classifier by its last token.
    Gpt2,
}

impl Architecture {
    /// Whether a token sees only those before it.
    pub fn is_causal(self) -> bool {
        self == Self::Gpt2
    }

    /// Whether norms stand before attention and feed-forward layers instead of after.
    pub(crate) fn norm_first(self) -> bool {
        self == Self::Gpt2
    }

    /// Whether positions start behind the padding id.
    pub(crate) fn shifts_positions(self) -> bool {
        matches!(self, Self::Roberta | Self::XlmRoberta | Self::Mpnet)
    }

    pub(crate) fn has_types(self) -> bool {
        matches!(self, Self::Bert | Self::Roberta | Self::XlmRoberta)
    }

    pub(crate) fn has_pooler(self) -> bool {
        !matches!(self, Self::Distilbert | Self::Gpt2)
    }
}

/// The function between the two feed-forward layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x Φ(x)` (Hendrycks and Gimpel 2016).
    #[default]
    Gelu,
    /// Its approximation by tanh, as GPT-2 has it.
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    /// `max(x, 0)`.
    Relu,
}

/// A transformer encoder, in the names of Hugging Face's BERT.
///
/// The defaults are a small BERT to be trained from scratch; a checkpoint's `config.json`
/// brings its own ([`from_hugging_face`](Self::from_hugging_face)), whatever the names of its
/// family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformerConfig {
    /// The family. Default: BERT.
    pub architecture: Architecture,
    /// Number of token ids. Default: 8192.
    pub vocab_size: usize,
    /// Width. Default: 128.
    pub hidden_size: usize,
    /// Layers. Default: 2.
    pub num_hidden_layers: usize,
    /// Attention heads; must divide the width. Default: 4.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layers. Default: 512.
    pub intermediate_size: usize,
    /// Between the feed-forward layers. Default: GELU.
    pub hidden_act: Activation,
    /// Dropout of embeddings and of each layer's two outputs, in `[0, 1)`. Default: 0.1.
    pub hidden_dropout_prob: f64,
    /// Dropout of the attention's weights, in `[0, 1)`. Default: 0, unlike BERT's 0.1.
    pub attention_probs_dropout_prob: f64,
    /// Rows of the position table; RoBERTa and MPNet lose `pad_token_id + 1` of them.
    /// Default: 96.
    pub max_position_embeddings: usize,
    /// Token types, where the family has them. Default: 2.
    pub type_vocab_size: usize,
    /// ε of the layer norms. Default: 1e-12.
    pub layer_norm_eps: f64,
    /// The id of padding. Default: 0.
    pub pad_token_id: usize,
    /// Which vector stands for the text; not part of Hugging Face's file. Default: the
    /// pooler's.
    pub pooling: Pooling,
    /// What vocabulary is learnt for a model from scratch; not part of Hugging Face's file.
    /// Default: WordPiece.
    pub pieces: Pieces,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            architecture: Architecture::Bert,
            vocab_size: 8192,
            hidden_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 512,
            hidden_act: Activation::Gelu,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.0,
            max_position_embeddings: 96,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pad_token_id: 0,
            pooling: Pooling::Pooler,
            pieces: Pieces::WordPiece,
        }
    }
}

impl TransformerConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets which vector stands for the text.
    #[must_use]
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
    }

    /// Sets both dropouts to 0, for inference or for exact comparisons.
    #[must_use]
    pub fn without_dropout(mut self) -> Self {
        (self.hidden_dropout_prob, self.attention_probs_dropout_prob) = (0.0, 0.0);
        self
    }

    /// The longest text in tokens, special ones included.
    pub fn max_length(&self) -> usize {
        self.max_position_embeddings - self.position_offset()
    }

    pub(crate) fn position_offset(&self) -> usize {
        if self.architecture.shifts_positions() { self.pad_token_id + 1 } else { 0 }
    }

    /// Checks the fields' ranges.
    ///
    /// # Errors
    /// Naming the field, its value and the range.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("type_vocab_size", self.type_vocab_size),
        ];
        for (name, value) in positive {
            ensure(name, value as f64, value >= 1, "[1, inf)")?;
        }
        let length = self.max_position_embeddings;
        let fits = length >= 3 + self.position_offset();
        ensure("max_position_embeddings", length as f64, fits, "[3 + padding offset, inf)")?;
        let pad = self.pad_token_id;
        ensure("pad_token_id", pad as f64, pad < self.vocab_size, "[0, vocab_size)")?;
        let divides = self.hidden_size.is_multiple_of(self.num_attention_heads);
        let heads = self.num_attention_heads as f64;
        ensure("num_attention_heads", heads, divides, "divisors of hidden_size")?;
        for (name, p) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ] {
            ensure(name, p, (0.0..1.0).contains(&p), "[0, 1)")?;
        }
        let eps = self.layer_norm_eps;
        ensure("layer_norm_eps", eps, eps > 0.0 && eps < 1.0, "(0, 1)")?;
        let has_layer = match self.pooling {
            Pooling::Pooler => self.architecture.has_pooler(),
            Pooling::PreClassifier => self.architecture == Architecture::Distilbert,
            _ => true,
        };
        if !has_layer {
            return Err(Error::Unsupported {
                name: "pooling",
                value: format!("{:?} of {:?}", self.pooling, self.architecture),
                allowed: "cls, mean, max, last",
            });
        }
        Ok(())
    }

    /// A model with burn's initial values; use [`seeded`](crate::seeded) for
    /// reproducible ones.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn init(&self, device: &Device) -> Result<Transformer> {
        self.check()?;
        let (family, width) = (self.architecture, self.hidden_size);
        let embedding = |n| EmbeddingConfig::new(n, width).init(device);
        let norm = || Norm::new(width, self.layer_norm_eps, device);
        Ok(Transformer {
            embeddings: Embeddings {
                word: embedding(self.vocab_size),
                position: embedding(self.max_position_embeddings),
                token_type: family.has_types().then(|| embedding(self.type_vocab_size)),
                norm: (!family.norm_first()).then(norm),
                dropout: Dropout::new(self.hidden_dropout_prob),
                offset: self.position_offset(),
            },
            prompt: None,
            relative: (family == Architecture::Mpnet).then(|| RelativeBias {
                table: EmbeddingConfig::new(BUCKETS, self.num_attention_heads).init(device),
            }),
            blocks: (0..self.num_hidden_layers).map(|_| Block::new(self, device)).collect(),
            norm: family.norm_first().then(norm),
            pooler: self.pooling.has_layer().then(|| Dense::new(width, width, device)),
            pooling: self.pooling,
        })
    }
}
