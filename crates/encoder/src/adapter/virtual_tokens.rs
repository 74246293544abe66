use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Value, json};

use super::{WEIGHTS, write};
use crate::checkpoint::Tensors;
use crate::init::tracked;
use crate::transformer::{Prefix, Prompt};
use crate::{Encoder, Error, Freeze, Result, Transformer, TransformerConfig};

/// The one tensor of either method, a row for each virtual token.
const TENSOR: &str = "prompt_embeddings";

/// What a virtual token is.
#[derive(Clone, Copy)]
pub(super) enum Method {
    /// A vector before the words': a row is that vector.
    Prompt,
    /// A key and a value in every layer: a row is the first layer's key, its value, the second
    /// layer's key and so on.
    Prefix,
}

impl Method {
    const ALL: [Self; 2] = [Self::Prompt, Self::Prefix];

    /// What PEFT calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Prompt => "PROMPT_TUNING",
            Self::Prefix => "PREFIX_TUNING",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// The vectors of a row.
    fn vectors(self, model: &Transformer) -> usize {
        match self {
            Self::Prompt => 1,
            Self::Prefix => 2 * model.blocks.len(),
        }
    }
}

/// See [`Transformer::load_adapter`].
pub(super) fn load(model: Transformer, dir: &Path, method: Method) -> Result<Transformer> {
    let tensors = Tensors::open(&dir.join(WEIGHTS))?;
    let bad = |reason: String| Error::Format { path: tensors.path().to_owned(), reason };
    let needed = method.vectors(&model) * model.dim();
    let shape = tensors.shape(TENSOR).unwrap_or_default();
    let &[tokens, found] = shape.as_slice() else {
        return Err(bad(format!("{TENSOR}: shape {shape:?}, not two numbers")));
    };
    if found != needed {
        return Err(bad(format!("{TENSOR}: rows of {found}, but the model needs {needed}")));
    }
    if let Some(other) = tensors.names().find(|name| *name != TENSOR) {
        return Err(bad(format!("{other}: not a tensor of {}", method.name())));
    }
    let values = tensors.values(TENSOR)?.unwrap_or_default();
    let device = model.embeddings.word.weight.val().device();
    let rows = Tensor::<2>::from_data(TensorData::new(values, [tokens, found]), &device);
    let mut vectors = rows.chunk(method.vectors(&model), 1).into_iter();
    let mut next = || vectors.next().map(|x| Param::from_tensor(tracked(x)));
    let mut model = model;
    match method {
        Method::Prompt => {
            model.room("prompt tokens", tokens)?;
            model.prompt = next().map(|vectors| Prompt { vectors });
        }
        Method::Prefix => {
            model.room("prefix tokens", tokens)?;
            for block in &mut model.blocks {
                let (keys, values) = (next(), next());
                block.attention.prefix =
                    keys.zip(values).map(|(keys, values)| Prefix { keys, values });
            }
        }
    }
    Ok(model.frozen(Freeze::All))
}

/// See [`Transformer::save_adapter`].
pub(super) fn save(
    model: &Transformer,
    config: &TransformerConfig,
    dir: &Path,
    method: Method,
) -> Result<()> {
    let vectors: Vec<Tensor<2>> = match method {
        Method::Prompt => model.prompt.iter().map(|prompt| prompt.vectors.val()).collect(),
        Method::Prefix => {
            let prefixes = model.blocks.iter().filter_map(|block| block.attention.prefix.as_ref());
            prefixes.flat_map(|prefix| [prefix.keys.val(), prefix.values.val()]).collect()
        }
    };
    let rows = Tensor::cat(vectors, 1);
    let [tokens, wide] = rows.dims();
    let values: Vec<f32> = rows
        .into_data()
        .try_to_vec_as()
        .map_err(|e| Error::Format { path: dir.join(WEIGHTS), reason: e.to_string() })?;
    let tensors = BTreeMap::from([(TENSOR.to_owned(), (vec![tokens, wide], values))]);
    let mut described = json!({
        "peft_type": method.name(),
        "num_virtual_tokens": tokens,
        "token_dim": config.hidden_size,
        "num_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_transformer_submodules": 1,
        "inference_mode": true,
        "base_model_name_or_path": null,
        "task_type": "FEATURE_EXTRACTION",
    });
    // What the other method's configuration in PEFT has no field for.
    let (field, value) = match method {
        Method::Prompt => ("prompt_tuning_init", Value::from("RANDOM")),
        Method::Prefix => ("prefix_projection", Value::from(false)),
    };
    described[field] = value;
    write(dir, tensors, &described)
}
