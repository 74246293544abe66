use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CONFIG, WEIGHTS, write};
use crate::checkpoint::{Tensors, module_name, transposed};
use crate::init::tracked;
use crate::transformer::{Dense, Dropout, LowRank};
use crate::{Architecture, Error, Result, Target, Transformer, TransformerConfig};

/// What PEFT calls it.
pub(super) const KIND: &str = "LORA";
/// What PEFT puts before every name.
const PREFIX: &str = "base_model.model.";

#[derive(Deserialize)]
struct Described {
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Described {
    fn new(config: Value, path: &Path, architecture: Architecture) -> Result<Self> {
        let bad = |reason: String| Error::Format { path: path.to_owned(), reason };
        let config: Self = serde_json::from_value(config).map_err(|e| bad(e.to_string()))?;
        if config.r == 0 || !(0.0..1.0).contains(&config.lora_dropout) {
            return Err(bad("r must be at least 1 and lora_dropout in [0, 1)".to_owned()));
        }
        // Any of these changes the function that the tensors stand for.
        let mut plain = vec!["use_dora", "rank_pattern", "alpha_pattern", "lora_bias"];
        // GPT-2's layers are turned, and PEFT says so; the update's own matrices are not.
        if architecture != Architecture::Gpt2 {
            plain.push("fan_in_fan_out");
        }
        for field in plain {
            let empty = match config.rest.get(field) {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::Object(map)) => map.is_empty(),
                Some(_) => false,
            };
            if !empty {
                return Err(bad(format!("{field}: only its default is supported")));
            }
        }
        Ok(config)
    }

    fn scale(&self) -> f64 {
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }
}

/// Which third of GPT-2's one layer for queries, keys and values a target is.
fn third(architecture: Architecture, target: Target) -> Option<usize> {
    match (architecture, target) {
        (Architecture::Gpt2, Target::Query) => Some(0),
        (Architecture::Gpt2, Target::Key) => Some(1),
        (Architecture::Gpt2, Target::Value) => Some(2),
        _ => None,
    }
}

/// See [`Transformer::load_adapter`].
pub(super) fn load(
    model: Transformer,
    config: &TransformerConfig,
    dir: &Path,
    described: Value,
) -> Result<Transformer> {
    let described = Described::new(described, &dir.join(CONFIG), config.architecture)?;
    let tensors = Tensors::open(&dir.join(WEIGHTS))?;
    let mut used = BTreeSet::new();
    let mut model = model.frozen(crate::Freeze::All);
    for (i, block) in model.blocks.iter_mut().enumerate() {
        for target in Target::ALL {
            let dense = target.of_mut(block);
            let Some(layer) = module_name(config.architecture, &target.path(i)) else {
                continue;
            };
            let find = |part: &str| {
                [String::new(), config.architecture.prefix().to_owned()]
                    .map(|prefix| format!("{PREFIX}{prefix}{layer}.{part}.weight"))
                    .into_iter()
                    .find(|name| tensors.contains(name))
            };
            let (Some(a), Some(b)) = (find("lora_A"), find("lora_B")) else { continue };
            let third = third(config.architecture, target);
            dense.lora = Some(low_rank(dense, &described, &tensors, [&a, &b], third)?);
            used.extend([a, b]);
        }
    }
    let unused: Vec<&str> = tensors.names().filter(|name| !used.contains(*name)).collect();
    if unused.is_empty() && !used.is_empty() {
        return Ok(model);
    }
    Err(Error::Weights {
        path: tensors.path().to_owned(),
        missing: 0,
        unused: unused.len(),
        names: unused.into_iter().take(5).collect::<Vec<_>>().join(", "),
    })
}

/// See [`Transformer::save_adapter`].
pub(super) fn save(model: &Transformer, config: &TransformerConfig, dir: &Path) -> Result<()> {
    let (family, path) = (config.architecture, dir.join(WEIGHTS));
    let bad = |reason: String| Error::Format { path: path.clone(), reason };
    let mut updates: BTreeMap<String, Update> = BTreeMap::new();
    let mut kinds = BTreeSet::new();
    let mut dropout = 0.0;
    for (i, block) in model.blocks.iter().enumerate() {
        let mut thirds = [None, None, None];
        for target in Target::ALL {
            let (Some(lora), Some(layer)) =
                (&target.of(block).lora, module_name(family, &target.path(i)))
            else {
                continue;
            };
            let update = Update::of(lora).map_err(|e| bad(e.to_string()))?;
            kinds.insert((update.rank, lora.scale.to_bits()));
            dropout = lora.dropout.prob;
            match third(family, target) {
                None => _ = updates.insert(layer, update),
                Some(third) => {
                    thirds[third] = Some(update);
                    if let Some(fused) = Update::fused(&thirds) {
                        updates.insert(layer, fused);
                    }
                }
            }
        }
    }
    let kinds: Vec<_> = kinds.into_iter().collect();
    let &[(_, scale)] = kinds.as_slice() else {
        return Err(bad(format!("{} kinds of low-rank updates, not one", kinds.len())));
    };
    let rank = updates.values().map(|update| update.rank).max().unwrap_or(0);
    let mut tensors = BTreeMap::new();
    let mut modules = BTreeSet::new();
    for (layer, update) in updates {
        let Update { a, b, inputs, outputs, .. } = update.widened(rank);
        tensors.insert(format!("{PREFIX}{layer}.lora_A.weight"), (vec![rank, inputs], a));
        tensors.insert(format!("{PREFIX}{layer}.lora_B.weight"), (vec![outputs, rank], b));
        let end = layer.split('.').skip_while(|p| p.parse::<usize>().is_err()).skip(1);
        modules.insert(end.collect::<Vec<_>>().join("\\."));
    }
    let modules: Vec<String> = modules.into_iter().collect();
    let described = json!({
        "peft_type": KIND,
        "r": rank,
        "lora_alpha": f64::from_bits(scale) * rank as f64,
        "lora_dropout": dropout,
        // A pattern for the whole name: of a list PEFT compares ends, and "output.dense"
        // is the end of two layers.
        "target_modules": format!(r".*\.\d+\.({})", modules.join("|")),
        "bias": "none",
        "fan_in_fan_out": family == Architecture::Gpt2,
        "inference_mode": true,
        "base_model_name_or_path": null,
        "task_type": null,
    });
    write(dir, tensors, &described)
}

/// A low-rank update as files have it: `a` is `[rank, inputs]`, `b` `[outputs, rank]`.
#[derive(Clone)]
struct Update {
    a: Vec<f32>,
    b: Vec<f32>,
    inputs: usize,
    outputs: usize,
    rank: usize,
}

impl Update {
    fn of(lora: &LowRank) -> Result<Self, burn::tensor::DataError> {
        let [inputs, rank] = lora.a.shape().dims();
        let [_, outputs] = lora.b.shape().dims();
        let a: Vec<f32> = lora.a.val().into_data().try_to_vec_as()?;
        let b: Vec<f32> = lora.b.val().into_data().try_to_vec_as()?;
        let (a, b) = (transposed(&a, inputs, rank), transposed(&b, rank, outputs));
        Ok(Self { a, b, inputs, outputs, rank })
    }

    /// The updates of layers side by side as one of the whole; nothing without any.
    fn fused(thirds: &[Option<Self>; 3]) -> Option<Self> {
        let first = thirds.iter().flatten().next()?;
        let Self { inputs, outputs, rank, .. } = *first;
        let shared = thirds.iter().all(|third| third.as_ref().is_some_and(|t| t.a == first.a));
        let mut whole = if shared {
            Self { a: first.a.clone(), b: Vec::new(), rank, inputs, outputs: 3 * outputs }
        } else {
            let (a, b) = (Vec::new(), Vec::new());
            Self { a, b, rank: 3 * rank, inputs, outputs: 3 * outputs }
        };
        for (third, update) in thirds.iter().enumerate() {
            let none = || vec![0.0; rank * inputs];
            if !shared {
                whole.a.extend(update.as_ref().map_or_else(none, |update| update.a.clone()));
            }
            for output in 0..outputs {
                let mut row = vec![0.0; whole.rank];
                if let Some(update) = update {
                    let at = if shared { 0 } else { third * rank };
                    row[at..at + rank].copy_from_slice(&update.b[output * rank..][..rank]);
                }
                whole.b.extend(row);
            }
        }
        Some(whole)
    }

    /// The same update at a higher rank.
    fn widened(self, rank: usize) -> Self {
        let Self { mut a, b, inputs, outputs, rank: own } = self;
        a.resize(rank * inputs, 0.0);
        let row = |row: &[f32]| {
            let mut row = row.to_vec();
            row.resize(rank, 0.0);
            row
        };
        let b = b.chunks_exact(own).flat_map(row).collect();
        Self { a, b, inputs, outputs, rank }
    }
}

fn low_rank(
    dense: &Dense,
    described: &Described,
    tensors: &Tensors,
    names: [&str; 2],
    third: Option<usize>,
) -> Result<LowRank> {
    let [inputs, outputs] = dense.dims();
    let device = dense.weight.lazy_device();
    let rank = described.r;
    let read = |name: &str, shape: [usize; 2], third: Option<usize>| -> Result<_> {
        let found = tensors.shape(name).unwrap_or_default();
        let [rows, columns] = shape;
        let needed = [if third.is_some() { 3 * rows } else { rows }, columns];
        if found != needed {
            return Err(Error::Format {
                path: tensors.path().to_owned(),
                reason: format!("{name}: shape {found:?}, but the layer needs {needed:?}"),
            });
        }
        let values = tensors.values(name)?.unwrap_or_default();
        let own = &values[third.unwrap_or(0) * rows * columns..][..rows * columns];
        let turned = transposed(own, rows, columns);
        let data = TensorData::new(turned, [shape[1], shape[0]]);
        Ok(Param::from_tensor(tracked(Tensor::from_data(data, &device))))
    };
    Ok(LowRank {
        a: read(names[0], [rank, inputs], None)?,
        b: read(names[1], [outputs, rank], third)?,
        dropout: Dropout::new(described.lora_dropout),
        scale: described.scale(),
    })
}
