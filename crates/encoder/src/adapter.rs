//! LoRA adapters in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use counterweight_core::write_atomic;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checkpoint::{Tensors, module_name, transposed, write_tensors};
use crate::init::tracked;
use crate::transformer::{Dense, Dropout, LowRank};
use crate::{Architecture, Error, Result, Target, Transformer, TransformerConfig, WeightType};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before every name.
const PREFIX: &str = "base_model.model.";

#[derive(Deserialize)]
struct Described {
    peft_type: String,
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
    fn read(path: &Path) -> Result<Self> {
        let bad = |reason: String| Error::Format { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path)
            .map_err(|source| counterweight_core::Error::Io { path: path.to_owned(), source })?;
        let config: Self = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        if config.peft_type != "LORA" {
            return Err(bad(format!("peft_type: {:?}, not \"LORA\"", config.peft_type)));
        }
        if config.r == 0 || !(0.0..1.0).contains(&config.lora_dropout) {
            return Err(bad("r must be at least 1 and lora_dropout in [0, 1)".to_owned()));
        }
        // Any of these changes the function that the tensors stand for.
        for field in ["use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "lora_bias"] {
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

/// GPT-2 keeps queries, keys and values in one layer, whose update is not three.
fn check_family(architecture: Architecture) -> Result<()> {
    if architecture == Architecture::Gpt2 {
        return Err(Error::Unsupported {
            name: "adapter file of",
            value: "gpt2".to_owned(),
            allowed: "bert, roberta, xlm-roberta, distilbert, mpnet",
        });
    }
    Ok(())
}

impl Transformer {
    /// Adds the low-rank updates of an adapter that PEFT, or
    /// [`save_adapter`](Self::save_adapter), wrote; the rest of the model is frozen.
    ///
    /// # Errors
    /// When a file is missing or cannot be parsed, the adapter is of another kind than plain
    /// LoRA, a tensor has another shape than the layer needs, or has no layer in this model.
    pub fn load_adapter(self, config: &TransformerConfig, dir: impl AsRef<Path>) -> Result<Self> {
        check_family(config.architecture)?;
        let dir = dir.as_ref();
        let described = Described::read(&dir.join(CONFIG))?;
        let tensors = Tensors::open(&dir.join(WEIGHTS))?;
        let mut used = BTreeSet::new();
        let mut model = self.frozen(crate::Freeze::All);
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
                dense.lora = Some(low_rank(dense, &described, &tensors, [&a, &b])?);
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

    /// Writes the low-rank updates so that `PeftModel.from_pretrained(model, dir)` reads them.
    ///
    /// # Errors
    /// When there are none, they have different ranks or scales, or a file cannot be written.
    pub fn save_adapter(&self, config: &TransformerConfig, dir: impl AsRef<Path>) -> Result<()> {
        use std::io::Write;
        check_family(config.architecture)?;
        let dir = dir.as_ref();
        let path = dir.join(WEIGHTS);
        let bad = |reason: String| Error::Format { path: path.clone(), reason };
        let mut tensors = BTreeMap::new();
        let mut modules = BTreeSet::new();
        let mut kinds = BTreeSet::new();
        let mut dropout = 0.0;
        for (i, block) in self.blocks.iter().enumerate() {
            for target in Target::ALL {
                let (Some(lora), Some(layer)) =
                    (&target.of(block).lora, module_name(config.architecture, &target.path(i)))
                else {
                    continue;
                };
                let rank = lora.a.shape()[1];
                kinds.insert((rank, lora.scale.to_bits()));
                dropout = lora.dropout.prob;
                for (part, param) in [("lora_A", &lora.a), ("lora_B", &lora.b)] {
                    let [rows, columns] = param.shape().dims();
                    let values: Vec<f32> =
                        param.val().into_data().try_to_vec_as().map_err(|e| bad(e.to_string()))?;
                    let turned = (vec![columns, rows], transposed(&values, rows, columns));
                    tensors.insert(format!("{PREFIX}{layer}.{part}.weight"), turned);
                }
                let end = layer.split('.').skip_while(|p| p.parse::<usize>().is_err()).skip(1);
                modules.insert(end.collect::<Vec<_>>().join("\\."));
            }
        }
        let kinds: Vec<_> = kinds.into_iter().collect();
        let modules: Vec<String> = modules.into_iter().collect();
        let &[(rank, scale)] = kinds.as_slice() else {
            return Err(bad(format!("{} kinds of low-rank updates, not one", kinds.len())));
        };
        let io = |source| counterweight_core::Error::Io { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        write_tensors(&path, WeightType::F32, tensors)?;
        let described = json!({
            "peft_type": "LORA",
            "r": rank,
            "lora_alpha": f64::from_bits(scale) * rank as f64,
            "lora_dropout": dropout,
            // A pattern for the whole name: of a list PEFT compares ends, and "output.dense"
            // is the end of two layers.
            "target_modules": format!(r".*\.\d+\.({})", modules.join("|")),
            "bias": "none",
            "fan_in_fan_out": false,
            "inference_mode": true,
            "base_model_name_or_path": null,
            "task_type": null,
        });
        let text = serde_json::to_vec_pretty(&described).map_err(|e| bad(e.to_string()))?;
        write_atomic(dir.join(CONFIG), |w| w.write_all(&text))?;
        Ok(())
    }
}

fn low_rank(
    dense: &Dense,
    described: &Described,
    tensors: &Tensors,
    names: [&str; 2],
) -> Result<LowRank> {
    let [inputs, outputs] = dense.dims();
    let device = dense.weight.lazy_device();
    let rank = described.r;
    let read = |name: &str, shape: [usize; 2]| -> Result<Param<Tensor<2>>> {
        let found = tensors.shape(name).unwrap_or_default();
        if found != shape {
            return Err(Error::Format {
                path: tensors.path().to_owned(),
                reason: format!("{name}: shape {found:?}, but the layer needs {shape:?}"),
            });
        }
        let values = tensors.values(name)?.unwrap_or_default();
        let turned = transposed(&values, shape[0], shape[1]);
        let data = TensorData::new(turned, [shape[1], shape[0]]);
        Ok(Param::from_tensor(tracked(Tensor::from_data(data, &device))))
    };
    Ok(LowRank {
        a: read(names[0], [rank, inputs])?,
        b: read(names[1], [outputs, rank])?,
        dropout: Dropout::new(described.lora_dropout),
        scale: described.scale(),
    })
}
