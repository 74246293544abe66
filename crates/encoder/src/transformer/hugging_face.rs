//! `config.json`, both ways.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Activation, Architecture, Pooling, TransformerConfig};
use crate::{Error, Pieces, Result};

/// What a family calls the fields.
struct Names {
    model_type: &'static str,
    class: &'static str,
    hidden_size: &'static str,
    layers: &'static str,
    heads: &'static str,
    inner: &'static str,
    positions: &'static str,
    activation: &'static str,
    hidden_dropout: &'static str,
    attention_dropout: &'static str,
    epsilon: &'static str,
    pad: usize,
    /// ε where the file has none.
    default_epsilon: f64,
}

const BERT: Names = Names {
    model_type: "bert",
    class: "BertModel",
    hidden_size: "hidden_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    inner: "intermediate_size",
    positions: "max_position_embeddings",
    activation: "hidden_act",
    hidden_dropout: "hidden_dropout_prob",
    attention_dropout: "attention_probs_dropout_prob",
    epsilon: "layer_norm_eps",
    pad: 0,
    default_epsilon: 1e-12,
};

fn names(architecture: Architecture) -> Names {
    match architecture {
        Architecture::Bert => BERT,
        Architecture::Roberta => {
            Names { model_type: "roberta", class: "RobertaModel", pad: 1, ..BERT }
        }
        Architecture::XlmRoberta => {
            Names { model_type: "xlm-roberta", class: "XLMRobertaModel", pad: 1, ..BERT }
        }
        Architecture::Mpnet => Names { model_type: "mpnet", class: "MPNetModel", pad: 1, ..BERT },
        Architecture::Distilbert => Names {
            model_type: "distilbert",
            class: "DistilBertModel",
            hidden_size: "dim",
            layers: "n_layers",
            heads: "n_heads",
            inner: "hidden_dim",
            activation: "activation",
            hidden_dropout: "dropout",
            attention_dropout: "attention_dropout",
            ..BERT
        },
        Architecture::Gpt2 => Names {
            model_type: "gpt2",
            class: "GPT2Model",
            hidden_size: "n_embd",
            layers: "n_layer",
            heads: "n_head",
            inner: "n_inner",
            positions: "n_positions",
            activation: "activation_function",
            hidden_dropout: "resid_pdrop",
            attention_dropout: "attn_pdrop",
            epsilon: "layer_norm_epsilon",
            default_epsilon: 1e-5,
            ..BERT
        },
    }
}

const ARCHITECTURES: [Architecture; 6] = [
    Architecture::Bert,
    Architecture::Roberta,
    Architecture::XlmRoberta,
    Architecture::Distilbert,
    Architecture::Mpnet,
    Architecture::Gpt2,
];

/// A parsed file, for errors that name it.
struct File<'a> {
    path: &'a Path,
    fields: Map<String, Value>,
}

impl File<'_> {
    fn bad(&self, field: &str, reason: impl std::fmt::Display) -> Error {
        Error::Format { path: self.path.to_owned(), reason: format!("{field}: {reason}") }
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn count(&self, field: &str, default: Option<usize>) -> Result<usize> {
        match (self.get(field), default) {
            (Some(value), _) => (value.as_u64().and_then(|n| usize::try_from(n).ok()))
                .ok_or_else(|| self.bad(field, format!("{value} is not a count"))),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.bad(field, "missing")),
        }
    }

    fn number(&self, field: &str, default: f64) -> Result<f64> {
        match self.get(field) {
            Some(value) => {
                value.as_f64().ok_or_else(|| self.bad(field, format!("{value} is not a number")))
            }
            None => Ok(default),
        }
    }

    /// A field that must have one value for this library to compute the model.
    fn only(&self, field: &str, allowed: &Value) -> Result<()> {
        match self.get(field) {
            Some(value) if value != allowed => {
                Err(self.bad(field, format!("{value} is not supported; supported: {allowed}")))
            }
            _ => Ok(()),
        }
    }
}

impl TransformerConfig {
    /// Reads a checkpoint's `config.json`. The pooling is the family's usual one: the
    /// pooler's, the first token's for DistilBERT, the last token's for GPT-2.
    ///
    /// # Errors
    /// When the file cannot be read or parsed, lacks a field, or describes a model this is
    /// not; the error names file and field.
    pub fn from_hugging_face(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let format = |reason: String| Error::Format { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path)
            .map_err(|source| counterweight_core::Error::Io { path: path.to_owned(), source })?;
        let fields = serde_json::from_str(&text).map_err(|e| format(e.to_string()))?;
        let file = File { path, fields };
        let kind = file.get("model_type").and_then(Value::as_str).unwrap_or("bert");
        let architecture =
            ARCHITECTURES.into_iter().find(|&a| names(a).model_type == kind).ok_or_else(|| {
                let known = ARCHITECTURES.map(|a| names(a).model_type).join(", ");
                file.bad("model_type", format!("{kind:?} is not supported; supported: {known}"))
            })?;
        let names = names(architecture);
        for (field, allowed) in [
            ("position_embedding_type", json!("absolute")),
            ("is_decoder", json!(false)),
            ("relative_attention_num_buckets", json!(super::relative::BUCKETS)),
            ("scale_attn_weights", json!(true)),
            ("scale_attn_by_inverse_layer_idx", json!(false)),
        ] {
            file.only(field, &allowed)?;
        }
        let width = file.count(names.hidden_size, None)?;
        let inner = (architecture == Architecture::Gpt2).then_some(4 * width);
        let act = file.get(names.activation).cloned().unwrap_or_else(|| json!("gelu"));
        let hidden_act =
            serde_json::from_value::<Activation>(act).map_err(|e| file.bad(names.activation, e))?;
        let config = Self {
            architecture,
            vocab_size: file.count("vocab_size", None)?,
            hidden_size: width,
            num_hidden_layers: file.count(names.layers, None)?,
            num_attention_heads: file.count(names.heads, None)?,
            intermediate_size: file.count(names.inner, inner)?,
            hidden_act,
            hidden_dropout_prob: file.number(names.hidden_dropout, 0.1)?,
            attention_probs_dropout_prob: file.number(names.attention_dropout, 0.1)?,
            max_position_embeddings: file.count(names.positions, None)?,
            type_vocab_size: file.count("type_vocab_size", Some(2))?,
            layer_norm_eps: file.number(names.epsilon, names.default_epsilon)?,
            pad_token_id: file.count("pad_token_id", Some(names.pad))?,
            pooling: match architecture {
                Architecture::Distilbert => Pooling::Cls,
                Architecture::Gpt2 => Pooling::Last,
                _ => Pooling::Pooler,
            },
            pieces: Pieces::default(),
        };
        config.check().map_err(|e| format(e.to_string()))?;
        Ok(config)
    }

    /// The fields of a `config.json` that transformers reads.
    pub fn to_hugging_face(&self) -> Value {
        let names = names(self.architecture);
        let mut fields = json!({
            "model_type": names.model_type,
            "architectures": [names.class],
            "vocab_size": self.vocab_size,
            names.hidden_size: self.hidden_size,
            names.layers: self.num_hidden_layers,
            names.heads: self.num_attention_heads,
            names.inner: self.intermediate_size,
            names.activation: self.hidden_act,
            names.hidden_dropout: self.hidden_dropout_prob,
            names.attention_dropout: self.attention_probs_dropout_prob,
            names.positions: self.max_position_embeddings,
        });
        if self.architecture != Architecture::Distilbert {
            fields[names.epsilon] = json!(self.layer_norm_eps);
        }
        if self.architecture.has_types() {
            fields["type_vocab_size"] = json!(self.type_vocab_size);
        }
        if self.architecture != Architecture::Gpt2 {
            fields["pad_token_id"] = json!(self.pad_token_id);
        }
        fields
    }
}
