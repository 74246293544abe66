//! Adapters in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.

mod low_rank;
mod virtual_tokens;

use std::collections::BTreeMap;
use std::path::Path;

use counterweight_core::write_atomic;
use serde_json::Value;

use crate::checkpoint::write_tensors;
use crate::{Error, Result, Transformer, TransformerConfig, WeightType};
use virtual_tokens::Method;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Tensors by name, each a shape and its values.
type FileTensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

impl Transformer {
    /// Adds the low-rank updates, the prompt or the prefix of an adapter that PEFT, or
    /// [`save_adapter`](Self::save_adapter), wrote; the rest of the model is frozen.
    ///
    /// # Errors
    /// When a file is missing or cannot be parsed, the adapter is of another kind than plain
    /// LoRA, prompt or prefix tuning, a tensor has another shape than the model needs, or has no
    /// layer in it.
    pub fn load_adapter(self, config: &TransformerConfig, dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let path = dir.join(CONFIG);
        let bad = |reason: String| Error::Format { path: path.clone(), reason };
        let text = std::fs::read_to_string(&path)
            .map_err(|source| counterweight_core::Error::Io { path: path.clone(), source })?;
        let described: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        let kind = described.get("peft_type").and_then(Value::as_str).unwrap_or_default();
        match Method::named(kind) {
            Some(method) => virtual_tokens::load(self, dir, method),
            None if kind == low_rank::KIND => low_rank::load(self, config, dir, described),
            None => {
                Err(bad(format!("peft_type: {kind:?} is none of LoRA, prompt or prefix tuning")))
            }
        }
    }

    /// Writes the low-rank updates so that `PeftModel.from_pretrained(model, dir)` reads them. Those
    /// of GPT-2's queries, keys and values are one update of its one layer, of three times the
    /// rank where their first matrices differ; the others are then filled up with zeros. Of a model
    /// with a prompt or a prefix and no low-rank updates, that is written.
    ///
    /// # Errors
    /// When there is none of them or more than one, the updates have different ranks or scales, or a
    /// file cannot be written.
    pub fn save_adapter(&self, config: &TransformerConfig, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let method = match (self.has_lora(), self.prompt_tokens(), self.prefix_tokens()) {
            (_, 0, 0) => return low_rank::save(self, config, dir),
            (false, _, 0) => Method::Prompt,
            (false, 0, _) => Method::Prefix,
            _ => {
                let reason = "a prompt or a prefix beside something else is no adapter of PEFT";
                return Err(Error::Format { path: dir.join(WEIGHTS), reason: reason.into() });
            }
        };
        virtual_tokens::save(self, config, dir, method)
    }
}

/// Writes an adapter's two files.
fn write(dir: &Path, tensors: FileTensors, described: &Value) -> Result<()> {
    use std::io::Write;
    let io = |source| counterweight_core::Error::Io { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(io)?;
    write_tensors(&dir.join(WEIGHTS), WeightType::F32, tensors)?;
    let path = dir.join(CONFIG);
    let text = serde_json::to_vec_pretty(described)
        .map_err(|e| Error::Format { path: path.clone(), reason: e.to_string() })?;
    Ok(write_atomic(path, |w| w.write_all(&text))?)
}
