use std::path::PathBuf;

use burn::tensor::Device;
use counterweight_core::{derive, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    Checkpoint, Freeze, LoraConfig, Pooling, Result, TextTokenizer, Transformer, TransformerConfig,
};

/// A checkpoint to be fine-tuned: its directory, and what is different from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PretrainedConfig {
    /// The directory: `config.json`, `model.safetensors` or `pytorch_model.bin`,
    /// `tokenizer.json` or `vocab.txt`.
    pub path: PathBuf,
    /// Which vector stands for the text. Default: the checkpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooling: Option<Pooling>,
    /// Texts are cut at so many tokens, at least 3. Default: the model's positions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Dropout of hidden states and attention weights, in `[0, 1)`. Default: the
    /// checkpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Low-rank updates; all else of the encoder is then frozen. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// Trained vectors before every text, at least 1; all else of the encoder but low-rank updates
    /// is then frozen. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<usize>,
    /// Trained keys and values before every text's in every layer, at least 1; all else of the encoder
    /// but low-rank updates and a prompt is then frozen. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<usize>,
    /// What is not trained. Default: nothing.
    #[serde(default)]
    pub freeze: Freeze,
}

impl PretrainedConfig {
    /// A checkpoint as it is.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            pooling: None,
            max_length: None,
            dropout: None,
            lora: None,
            prompt: None,
            prefix: None,
            freeze: Freeze::default(),
        }
    }

    /// Sets which vector stands for the text.
    #[must_use]
    pub fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = Some(pooling);
        self
    }

    /// Sets the longest text in tokens.
    #[must_use]
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = Some(max_length);
        self
    }

    /// Sets both dropouts.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = Some(dropout);
        self
    }

    /// Adds low-rank updates.
    #[must_use]
    pub fn with_lora(mut self, lora: LoraConfig) -> Self {
        self.lora = Some(lora);
        self
    }

    /// Adds trained vectors before every text.
    #[must_use]
    pub fn with_prompt(mut self, tokens: usize) -> Self {
        self.prompt = Some(tokens);
        self
    }

    /// Adds trained keys and values before every text's.
    #[must_use]
    pub fn with_prefix(mut self, tokens: usize) -> Self {
        self.prefix = Some(tokens);
        self
    }

    /// Sets what is not trained.
    #[must_use]
    pub fn with_freeze(mut self, freeze: Freeze) -> Self {
        self.freeze = freeze;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if let Some(lora) = &self.lora {
            lora.check()?;
        }
        for (name, tokens) in self.virtual_tokens() {
            ensure(name, tokens as f64, tokens >= 1, "[1, the model's positions - 3]")?;
        }
        Ok(())
    }

    /// The prompt and the prefix, where there are.
    fn virtual_tokens(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let named = [("prompt", self.prompt), ("prefix", self.prefix)];
        named.into_iter().filter_map(|(name, tokens)| Some((name, tokens?)))
    }

    fn open(&self) -> Result<Checkpoint> {
        self.check()?;
        Checkpoint::open(&self.path)?.with_config(|mut config| {
            config.pooling = self.pooling.unwrap_or(config.pooling);
            if let Some(p) = self.dropout {
                (config.hidden_dropout_prob, config.attention_probs_dropout_prob) = (p, p);
            }
            config
        })
    }

    /// The model's configuration.
    pub(crate) fn config(&self) -> Result<TransformerConfig> {
        Ok(self.open()?.config().clone())
    }

    /// The checkpoint's tokenizer.
    ///
    /// # Errors
    /// As [`TextTokenizer::for_checkpoint`].
    pub fn tokenizer(&self) -> Result<TextTokenizer> {
        let mut config = self.config()?;
        for (name, tokens) in self.virtual_tokens() {
            let fits = tokens + 3 <= config.max_length();
            ensure(name, tokens as f64, fits, "[1, the model's positions - 3]")?;
            config.max_position_embeddings -= tokens;
        }
        TextTokenizer::for_checkpoint(&self.path, &config, self.max_length)
    }

    /// The checkpoint's model, with low-rank updates, a prompt and a prefix drawn by the seed where
    /// asked for.
    ///
    /// # Errors
    /// As [`Checkpoint::load`], and for a low-rank update out of range.
    pub fn load(&self, seed: u64, device: &Device) -> Result<Transformer> {
        let model = self.open()?.load(device)?;
        let model = match &self.lora {
            Some(lora) => model.with_lora(lora, seed)?,
            None => model,
        };
        let model = match self.prompt {
            Some(tokens) => model.with_prompt(tokens, derive(seed, 1))?,
            None => model,
        };
        let model = match self.prefix {
            Some(tokens) => model.with_prefix(tokens, derive(seed, 2))?,
            None => model,
        };
        Ok(model.frozen(self.freeze))
    }
}
