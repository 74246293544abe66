//! Where a tensor of ours is in a checkpoint.

use crate::{Architecture, Pooling};

/// A tensor of a file, or a share of its columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// Whether the file has `[outputs, inputs]` where we have `[inputs, outputs]`.
    pub(crate) transposed: bool,
    /// `(i, n)`: the i-th of n equal shares of the columns.
    pub(crate) share: Option<(usize, usize)>,
}

/// Our module and the family's name of it; `#` is the number of the layer.
type Pairs = &'static [(&'static str, &'static str)];

const BERT: Pairs = &[
    ("embeddings.word", "embeddings.word_embeddings"),
    ("embeddings.position", "embeddings.position_embeddings"),
    ("embeddings.token_type", "embeddings.token_type_embeddings"),
    ("embeddings.norm", "embeddings.LayerNorm"),
    ("blocks.#.attention.query", "encoder.layer.#.attention.self.query"),
    ("blocks.#.attention.key", "encoder.layer.#.attention.self.key"),
    ("blocks.#.attention.value", "encoder.layer.#.attention.self.value"),
    ("blocks.#.attention.output", "encoder.layer.#.attention.output.dense"),
    ("blocks.#.attention_norm", "encoder.layer.#.attention.output.LayerNorm"),
    ("blocks.#.up", "encoder.layer.#.intermediate.dense"),
    ("blocks.#.down", "encoder.layer.#.output.dense"),
    ("blocks.#.output_norm", "encoder.layer.#.output.LayerNorm"),
    ("pooler", "pooler.dense"),
];

const MPNET: Pairs = &[
    ("embeddings.word", "embeddings.word_embeddings"),
    ("embeddings.position", "embeddings.position_embeddings"),
    ("embeddings.norm", "embeddings.LayerNorm"),
    ("relative.table", "encoder.relative_attention_bias"),
    ("blocks.#.attention.query", "encoder.layer.#.attention.attn.q"),
    ("blocks.#.attention.key", "encoder.layer.#.attention.attn.k"),
    ("blocks.#.attention.value", "encoder.layer.#.attention.attn.v"),
    ("blocks.#.attention.output", "encoder.layer.#.attention.attn.o"),
    ("blocks.#.attention_norm", "encoder.layer.#.attention.LayerNorm"),
    ("blocks.#.up", "encoder.layer.#.intermediate.dense"),
    ("blocks.#.down", "encoder.layer.#.output.dense"),
    ("blocks.#.output_norm", "encoder.layer.#.output.LayerNorm"),
    ("pooler", "pooler.dense"),
];

const DISTILBERT: Pairs = &[
    ("embeddings.word", "embeddings.word_embeddings"),
    ("embeddings.position", "embeddings.position_embeddings"),
    ("embeddings.norm", "embeddings.LayerNorm"),
    ("blocks.#.attention.query", "transformer.layer.#.attention.q_lin"),
    ("blocks.#.attention.key", "transformer.layer.#.attention.k_lin"),
    ("blocks.#.attention.value", "transformer.layer.#.attention.v_lin"),
    ("blocks.#.attention.output", "transformer.layer.#.attention.out_lin"),
    ("blocks.#.attention_norm", "transformer.layer.#.sa_layer_norm"),
    ("blocks.#.up", "transformer.layer.#.ffn.lin1"),
    ("blocks.#.down", "transformer.layer.#.ffn.lin2"),
    ("blocks.#.output_norm", "transformer.layer.#.output_layer_norm"),
    ("pooler", "pre_classifier"),
];

const GPT2: Pairs = &[
    ("embeddings.word", "wte"),
    ("embeddings.position", "wpe"),
    ("blocks.#.attention.query", "h.#.attn.c_attn"),
    ("blocks.#.attention.key", "h.#.attn.c_attn"),
    ("blocks.#.attention.value", "h.#.attn.c_attn"),
    ("blocks.#.attention.output", "h.#.attn.c_proj"),
    ("blocks.#.attention_norm", "h.#.ln_1"),
    ("blocks.#.up", "h.#.mlp.c_fc"),
    ("blocks.#.down", "h.#.mlp.c_proj"),
    ("blocks.#.output_norm", "h.#.ln_2"),
    ("norm", "ln_f"),
];

impl Architecture {
    fn pairs(self) -> Pairs {
        match self {
            Self::Bert | Self::Roberta | Self::XlmRoberta => BERT,
            Self::Mpnet => MPNET,
            Self::Distilbert => DISTILBERT,
            Self::Gpt2 => GPT2,
        }
    }

    /// What stands before every name in a file of a model with a head.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert.",
            Self::Roberta | Self::XlmRoberta => "roberta.",
            Self::Mpnet => "mpnet.",
            Self::Distilbert => "distilbert.",
            Self::Gpt2 => "transformer.",
        }
    }
}

/// Splits off a number between dots: `a.12.b` → `(a.#.b, 12)`.
fn numbered(path: &str) -> (String, Option<&str>) {
    let number = path.split('.').find(|part| part.bytes().all(|b| b.is_ascii_digit()));
    match number {
        Some(n) => (path.replacen(&format!(".{n}."), ".#.", 1), Some(n)),
        None => (path.to_owned(), None),
    }
}

/// The place of one of our tensors, by its path in the module.
pub(crate) fn place(architecture: Architecture, path: &str) -> Option<Place> {
    let (module, field) = path.rsplit_once('.')?;
    let (module, layer) = numbered(module);
    let &(ours, theirs) = architecture.pairs().iter().find(|(ours, _)| *ours == module)?;
    let field = match field {
        "gamma" => "weight",
        "beta" => "bias",
        same => same,
    };
    let name = theirs.replacen('#', layer.unwrap_or_default(), 1);
    let dense = !(ours.starts_with("embeddings") || ours.starts_with("relative"));
    let share = (theirs.ends_with("c_attn")).then(|| match ours.rsplit('.').next() {
        Some("query") => (0, 3),
        Some("key") => (1, 3),
        _ => (2, 3),
    });
    Some(Place {
        name: format!("{name}.{field}"),
        transposed: dense && architecture != Architecture::Gpt2,
        share,
    })
}

/// The place of a tensor of the masked-LM head.
pub(crate) fn masked_lm_place(architecture: Architecture, path: &str) -> Option<Place> {
    let [transform, norm, bias] = match architecture {
        Architecture::Bert => [
            "cls.predictions.transform.dense",
            "cls.predictions.transform.LayerNorm",
            "cls.predictions.bias",
        ],
        Architecture::Distilbert => ["vocab_transform", "vocab_layer_norm", "vocab_projector.bias"],
        _ => ["lm_head.dense", "lm_head.layer_norm", "lm_head.bias"],
    };
    let name = match path {
        "transform.weight" => format!("{transform}.weight"),
        "transform.bias" => format!("{transform}.bias"),
        "norm.gamma" => format!("{norm}.weight"),
        "norm.beta" => format!("{norm}.bias"),
        "bias" => bias.to_owned(),
        _ => return None,
    };
    Some(Place { name, transposed: path == "transform.weight", share: None })
}

/// Where transformers' classifier of sequences keeps its parts.
pub(crate) struct SequenceHead {
    /// Which vector its head takes.
    pub(crate) pooling: Pooling,
    /// The layer before the head, where it is not the encoder's own pooler.
    pub(crate) pooler: Option<&'static str>,
    pub(crate) head: &'static str,
}

/// The parts of a family's classifier of sequences.
pub(crate) fn sequence_head(architecture: Architecture) -> SequenceHead {
    let (pooling, pooler, head) = match architecture {
        Architecture::Bert => (Pooling::Pooler, None, "classifier"),
        Architecture::Roberta | Architecture::XlmRoberta | Architecture::Mpnet => {
            (Pooling::Pooler, Some("classifier.dense"), "classifier.out_proj")
        }
        Architecture::Distilbert => (Pooling::PreClassifier, Some("pre_classifier"), "classifier"),
        Architecture::Gpt2 => (Pooling::Last, None, "score"),
    };
    SequenceHead { pooling, pooler, head }
}

/// The name that `module` of ours has in the family's files: for adapters.
pub(crate) fn module_name(architecture: Architecture, module: &str) -> Option<String> {
    let (module, layer) = numbered(module);
    let (_, theirs) = architecture.pairs().iter().find(|(ours, _)| *ours == module)?;
    Some(theirs.replacen('#', layer.unwrap_or_default(), 1))
}

/// Buffers that files of old versions carry and that hold no weights.
pub(crate) fn is_buffer(name: &str) -> bool {
    name.ends_with("position_ids")
        || name.ends_with(".attn.bias")
        || name.ends_with(".attn.masked_bias")
}

/// The beginnings of tensors that belong to a head of some task.
const HEADS: [&str; 12] = [
    "cls.",
    "classifier.",
    "lm_head.",
    "pre_classifier.",
    "qa_outputs.",
    "score.",
    "vocab_transform.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "summary.",
    "pooler.",
    "multiple_choice_head.",
];

/// Whether a tensor, without the family's prefix, is of a head.
pub(crate) fn is_head(name: &str) -> bool {
    HEADS.iter().any(|head| name.starts_with(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_families() {
        let of = |a, path| place(a, path).unwrap();
        let dense = of(Architecture::Bert, "blocks.11.attention.query.weight");
        assert_eq!(dense.name, "encoder.layer.11.attention.self.query.weight");
        assert!(dense.transposed);
        let norm = of(Architecture::Distilbert, "blocks.0.output_norm.gamma");
        assert_eq!(norm.name, "transformer.layer.0.output_layer_norm.weight");
        let key = of(Architecture::Gpt2, "blocks.3.attention.key.bias");
        assert_eq!((key.name.as_str(), key.share), ("h.3.attn.c_attn.bias", Some((1, 3))));
        assert!(!of(Architecture::Mpnet, "relative.table.weight").transposed);
        assert_eq!(place(Architecture::Gpt2, "pooler.weight"), None);
    }
}
