//! Checkpoints in Hugging Face's layout.

mod file;
mod load;
mod names;
mod save;

use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use serde_json::Value;

pub use save::{WeightType, save_checkpoint};

pub(crate) use file::Tensors;
pub(crate) use load::transposed;
pub(crate) use names::module_name;
pub(crate) use save::write_tensors;

use crate::init::tracked;
use crate::{
    ClassifierConfig, Error, MaskedLm, Pooling, Result, TextClassifier, TextEncoder,
    TokenClassifier, Transformer, TransformerConfig,
};

/// A directory with `config.json` and the weights in `model.safetensors` or
/// `pytorch_model.bin`, as transformers and sentence-transformers write it.
///
/// Nothing of a PyTorch file is executed: it is read by a parser that knows tensors only.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    config: TransformerConfig,
    tensors: Tensors,
    /// What stands before every name.
    prefix: &'static str,
}

/// The files that may hold the weights, the first found is taken.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

impl Checkpoint {
    /// Opens a checkpoint: its configuration, and the names and shapes of its tensors.
    ///
    /// The pooling is that of sentence-transformers' `1_Pooling/config.json` where there is
    /// one; else the family's, or the mean where the family has a pooler and the file none.
    ///
    /// # Errors
    /// When a file is missing, is cut off, or describes a model this is not; the error names
    /// file and field.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        let mut config = TransformerConfig::from_hugging_face(dir.join("config.json"))?;
        let file = WEIGHTS.iter().map(|name| dir.join(name)).find(|path| path.exists());
        let tensors = Tensors::open(&file.unwrap_or_else(|| dir.join(WEIGHTS[0])))?;
        let prefix = config.architecture.prefix();
        let prefixed = tensors.names().any(|name| name.starts_with(prefix));
        let prefix = if prefixed { prefix } else { "" };
        if let Some(pooling) = sentence_pooling(&dir)? {
            config.pooling = pooling;
        } else if config.pooling == Pooling::Pooler
            && !tensors.contains(&format!("{prefix}pooler.dense.weight"))
        {
            config.pooling = Pooling::Mean;
        }
        Ok(Self { dir, config, tensors, prefix })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The model's configuration.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// Chooses another vector to stand for the text, or other dropouts.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn with_config(
        mut self,
        change: impl FnOnce(TransformerConfig) -> TransformerConfig,
    ) -> Result<Self> {
        self.config = change(self.config);
        self.config.check()?;
        Ok(self)
    }

    /// Tensors outside the encoder's layers: heads of tasks, and the pooler, which
    /// [`load`](Self::load) takes only where the pooling wants it.
    pub fn head_tensors(&self) -> Vec<&str> {
        self.tensors.names().filter(|name| names::is_head(self.bare(name))).collect()
    }

    /// The model with the checkpoint's weights, in f32.
    ///
    /// # Errors
    /// When a tensor is missing, has another shape, or has no place in this model (heads
    /// of tasks and old position buffers excepted).
    pub fn load(&self, device: &Device) -> Result<Transformer> {
        let model = self.config.init(device)?;
        load::load(model, &self.tensors, &|path| self.place(path), |name| {
            self.ignores(name) || names::is_head(self.bare(name))
        })
    }

    /// The model with the head that guesses masked tokens.
    ///
    /// # Errors
    /// As [`load`](Self::load), when the checkpoint has no such head, and for GPT-2, which
    /// guesses the next token.
    pub fn load_masked_lm(&self, device: &Device) -> Result<MaskedLm> {
        let model = MaskedLm::new(&self.config, device)?;
        let place = |path: &str| match path.strip_prefix("encoder.") {
            Some(path) => self.place(path),
            None => names::masked_lm_place(self.config.architecture, path),
        };
        load::load(model, &self.tensors, &place, |name| {
            self.ignores(name) || names::is_head(self.bare(name))
        })
    }

    /// The classifier that transformers' `…ForSequenceClassification` saved: its pooler, where it has
    /// one, and its head. `dropout` acts on the text's vector.
    ///
    /// # Errors
    /// As [`load`](Self::load), and when the checkpoint has no such head.
    pub fn load_classifier(&self, dropout: f64, device: &Device) -> Result<TextClassifier> {
        let names = names::sequence_head(self.config.architecture);
        let config = TransformerConfig { pooling: names.pooling, ..self.config.clone() };
        let place = |path: &str| match (path.strip_prefix("pooler."), names.pooler) {
            (Some(field), Some(module)) => {
                let name = format!("{module}.{field}");
                Some(names::Place { name, transposed: field == "weight", share: None })
            }
            _ => self.place(path),
        };
        let encoder = load::load(config.init(device)?, &self.tensors, &place, |name| {
            self.ignores(name) || names::is_head(self.bare(name))
        })?;
        let head = self.head(names.head, device)?;
        let encoder = TextEncoder::Transformer(encoder);
        let config = ClassifierConfig::new(head.weight.shape()[1]).with_dropout(dropout);
        TextClassifier::around(encoder, &config, device).map(|model| model.with_head(head))
    }

    /// The classifier of tokens that transformers' `…ForTokenClassification` saved.
    ///
    /// # Errors
    /// As [`load`](Self::load), and when the checkpoint has no such head.
    pub fn load_token_classifier(&self, dropout: f64, device: &Device) -> Result<TokenClassifier> {
        counterweight_core::ensure("dropout", dropout, (0.0..1.0).contains(&dropout), "[0, 1)")?;
        // Tokens need no pooler.
        let config = TransformerConfig { pooling: Pooling::Cls, ..self.config.clone() };
        let place = |path: &str| self.place(path);
        let encoder = load::load(config.init(device)?, &self.tensors, &place, |name| {
            self.ignores(name) || names::is_head(self.bare(name))
        })?;
        Ok(TokenClassifier::with_head(encoder, self.head("classifier", device)?, dropout))
    }

    /// A linear layer of the file; its bias is 0 where the file has none.
    fn head(&self, name: &str, device: &Device) -> Result<Linear> {
        let weight = format!("{name}.weight");
        let shape = self.tensors.shape(&weight).unwrap_or_default();
        let &[outputs, inputs] = shape.as_slice() else {
            return Err(Error::Weights {
                path: self.tensors.path().to_owned(),
                missing: 1,
                unused: 0,
                names: weight,
            });
        };
        let mut head = LinearConfig::new(inputs, outputs).init(device);
        let bias = format!("{name}.bias");
        let biased = self.tensors.contains(&bias);
        if !biased {
            head.bias = Some(Param::from_tensor(tracked(Tensor::zeros([outputs], device))));
        }
        let place = |path: &str| {
            let name = match path {
                "weight" => weight.clone(),
                _ => biased.then(|| bias.clone())?,
            };
            Some(names::Place { name, transposed: path == "weight", share: None })
        };
        load::load(head, &self.tensors, &place, |_| true)
    }

    fn place(&self, path: &str) -> Option<names::Place> {
        let place = names::place(self.config.architecture, path)?;
        Some(names::Place { name: format!("{}{}", self.prefix, place.name), ..place })
    }

    fn ignores(&self, name: &str) -> bool {
        names::is_buffer(self.bare(name))
    }

    fn bare<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.prefix).unwrap_or(name)
    }
}

/// The pooling in sentence-transformers' file beside the model.
fn sentence_pooling(dir: &Path) -> Result<Option<Pooling>> {
    let path = dir.join("1_Pooling/config.json");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(None) };
    let value: Value = serde_json::from_str(&text)
        .map_err(|e| Error::Format { path: path.clone(), reason: e.to_string() })?;
    let modes = [
        ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
        ("pooling_mode_cls_token", "cls", Pooling::Cls),
        ("pooling_mode_max_tokens", "max", Pooling::Max),
        ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
    ];
    let named = value.get("pooling_mode").and_then(Value::as_str);
    let mut chosen = modes.iter().filter(|(flag, name, _)| {
        value.get(flag).and_then(Value::as_bool).unwrap_or(false) || named == Some(*name)
    });
    match (chosen.next(), chosen.next()) {
        (Some(&(_, _, pooling)), None) => Ok(Some(pooling)),
        _ => Err(Error::Format {
            path,
            reason: "pooling_mode: not one of mean, cls, max, last token".to_owned(),
        }),
    }
}
