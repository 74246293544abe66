use std::path::Path;

use burn::module::Module;
use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput,
};
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear,
    LinearConfig,
};
use burn::store::{ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use burn::tensor::{Device, Int, Tensor};
use counterweight_core::ensure;
use serde::{Deserialize, Serialize};

use crate::{Encoder, Error, Result, TextBatch};

/// Which vector stands for the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// BERT's pooler: `tanh(W h_CLS + b)`.
    #[default]
    Pooler,
    /// The mean over the tokens.
    Mean,
}

/// A BERT encoder, in the fields of a Hugging Face `config.json` (others in such a file
/// are ignored).
///
/// Post-norm layers, learned positions, token types, exact GELU (Devlin et al., NAACL
/// 2019). The defaults are a small model to be trained from scratch; a checkpoint's
/// `config.json` brings its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BertConfig {
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
    /// Only `"gelu"`.
    pub hidden_act: String,
    /// Dropout in `[0, 1)`. Default: 0.1.
    pub hidden_dropout_prob: f64,
    /// Longest input. Default: 96.
    pub max_position_embeddings: usize,
    /// Token types. Default: 2.
    pub type_vocab_size: usize,
    /// ε of the layer norms. Default: 1e-12.
    pub layer_norm_eps: f64,
    /// Which vector stands for the text; not part of Hugging Face's file. Default: the
    /// pooler.
    pub pooling: Pooling,
}

impl Default for BertConfig {
    fn default() -> Self {
        Self {
            vocab_size: 8192,
            hidden_size: 128,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 512,
            hidden_act: "gelu".to_owned(),
            hidden_dropout_prob: 0.1,
            max_position_embeddings: 96,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            pooling: Pooling::Pooler,
        }
    }
}

impl BertConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, or describes a model this is not.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| counterweight_core::Error::Io { path: path.to_owned(), source })?;
        let config: Self = serde_json::from_str(&text)
            .map_err(|e| Error::Format { path: path.to_owned(), reason: e.to_string() })?;
        config.check()?;
        Ok(config)
    }

    pub(crate) fn check(&self) -> Result<()> {
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
        ensure("max_position_embeddings", length as f64, length >= 3, "[3, inf)")?;
        let divides = self.hidden_size.is_multiple_of(self.num_attention_heads);
        let heads = self.num_attention_heads as f64;
        ensure("num_attention_heads", heads, divides, "divisors of hidden_size")?;
        let dropout = self.hidden_dropout_prob;
        ensure("hidden_dropout_prob", dropout, (0.0..1.0).contains(&dropout), "[0, 1)")?;
        if self.hidden_act != "gelu" {
            return Err(Error::Unsupported {
                name: "hidden_act",
                value: self.hidden_act.clone(),
                allowed: "\"gelu\"",
            });
        }
        Ok(())
    }

    /// A model with burn's initial values; use [`seeded`](crate::seeded) for
    /// reproducible ones.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn init(&self, device: &Device) -> Result<Bert> {
        self.check()?;
        let embedding = |n| EmbeddingConfig::new(n, self.hidden_size).init(device);
        let layers = TransformerEncoderConfig::new(
            self.hidden_size,
            self.intermediate_size,
            self.num_attention_heads,
            self.num_hidden_layers,
        );
        Ok(Bert {
            word: embedding(self.vocab_size),
            position: embedding(self.max_position_embeddings),
            token_type: embedding(self.type_vocab_size),
            norm: LayerNormConfig::new(self.hidden_size)
                .with_epsilon(self.layer_norm_eps)
                .init(device),
            dropout: DropoutConfig::new(self.hidden_dropout_prob).init(),
            layers: layers
                .with_dropout(self.hidden_dropout_prob)
                .with_layer_norm_eps(self.layer_norm_eps)
                .init(device),
            pooler: (self.pooling == Pooling::Pooler)
                .then(|| LinearConfig::new(self.hidden_size, self.hidden_size).init(device)),
        })
    }
}

/// See [`BertConfig`].
#[derive(Module, Debug)]
pub struct Bert {
    word: Embedding,
    position: Embedding,
    token_type: Embedding,
    norm: LayerNorm,
    dropout: Dropout,
    layers: TransformerEncoder,
    pooler: Option<Linear>,
}

/// Hugging Face's names of the tensors, as regular expressions, and ours.
const NAMES: [(&str, &str); 15] = [
    (r"^bert\.", ""),
    (r"^embeddings\.word_embeddings\.", "word."),
    (r"^embeddings\.position_embeddings\.", "position."),
    (r"^embeddings\.token_type_embeddings\.", "token_type."),
    (r"^embeddings\.LayerNorm\.", "norm."),
    (r"^encoder\.layer\.", "layers.layers."),
    (r"\.attention\.self\.", ".mha."),
    (r"\.attention\.output\.dense\.", ".mha.output."),
    (r"\.attention\.output\.LayerNorm\.", ".norm_1."),
    (r"\.intermediate\.dense\.", ".pwff.linear_inner."),
    (r"\.output\.dense\.", ".pwff.linear_outer."),
    (r"\.output\.LayerNorm\.", ".norm_2."),
    (r"^pooler\.dense\.", "pooler."),
    (r"LayerNorm\.gamma$", "LayerNorm.weight"),
    (r"LayerNorm\.beta$", "LayerNorm.bias"),
];

impl Bert {
    /// Hidden states of every token.
    ///
    /// # Shapes
    /// `ids`, `mask` (1 at tokens, 0 at padding): `[batch, length]`; result
    /// `[batch, length, hidden]`.
    ///
    /// # Panics
    /// When the length exceeds the model's positions.
    pub fn forward(&self, ids: Tensor<2, Int>, mask: Tensor<2>) -> Tensor<3> {
        let [batch, length] = ids.dims();
        let device = ids.device();
        let positions = Tensor::<1, Int>::arange(0..length as i64, &device).unsqueeze_dim(0);
        let types = Tensor::<2, Int>::zeros([batch, length], &device);
        let hidden = self.word.forward(ids)
            + self.position.forward(positions)
            + self.token_type.forward(types);
        let hidden = self.dropout.forward(self.norm.forward(hidden));
        let padding = mask.equal_scalar(0.0);
        self.layers.forward(TransformerEncoderInput::new(hidden).mask_pad(padding))
    }

    /// Loads a Hugging Face checkpoint (`model.safetensors` of BERT, with or without the
    /// `bert.` prefix).
    ///
    /// # Errors
    /// When a tensor is missing, has another shape, or has no place in this model (position
    /// ids and heads of other tasks excepted).
    pub fn load(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let format = |reason: String| Error::Format { path: path.to_owned(), reason };
        let mut store = SafetensorsStore::from_file(path)
            .with_from_adapter(PyTorchToBurnAdapter)
            .validate(true)
            .allow_partial(true);
        for (from, to) in NAMES {
            store = store.with_key_remapping(from, to);
        }
        let result = self.load_from(&mut store).map_err(|e| format(e.to_string()))?;
        if let Some(error) = result.errors.first() {
            return Err(format(error.to_string()));
        }
        let foreign = |name: &&String| {
            !(name.ends_with("position_ids")
                || name.starts_with("cls.")
                || name.starts_with("classifier."))
        };
        let unused: Vec<&String> = result.unused.iter().filter(foreign).collect();
        if result.missing.is_empty() && unused.is_empty() {
            return Ok(self);
        }
        let names = result.missing.iter().map(|m| &m.0).chain(unused.iter().copied()).take(5);
        Err(Error::Weights {
            path: path.to_owned(),
            missing: result.missing.len(),
            unused: unused.len(),
            names: names.cloned().collect::<Vec<_>>().join(", "),
        })
    }
}

impl Encoder for Bert {
    fn encode(&self, batch: &TextBatch) -> Tensor<2> {
        let hidden = self.forward(batch.ids.clone(), batch.weights.clone());
        match &self.pooler {
            Some(pooler) => {
                let first = hidden.narrow(1, 0, 1).squeeze_dim(1);
                pooler.forward(first).tanh()
            }
            None => {
                let weights = batch.weights.clone().unsqueeze_dim::<3>(1);
                let count = batch.weights.clone().sum_dim(1).clamp_min(1.0);
                weights.matmul(hidden).squeeze_dim::<2>(1) / count
            }
        }
    }

    fn dim(&self) -> usize {
        self.word.weight.dims()[1]
    }
}
