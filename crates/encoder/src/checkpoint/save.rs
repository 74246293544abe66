use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use counterweight_core::write_atomic;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::load::transposed;
use super::names::place;
use crate::{Architecture, Error, Result, Transformer, TransformerConfig};

/// The float type of a file's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with 10 of mantissa: values beyond 65,504 become infinite.
    F16,
    /// 16 bits with 7 of mantissa and f32's range.
    Bf16,
}

/// Writes `config.json` and `model.safetensors` into `dir` so that transformers'
/// `AutoModel.from_pretrained(dir)` and [`Checkpoint::open`](crate::Checkpoint::open) read
/// them. Each file appears whole or not at all. Low-rank updates must be merged first.
///
/// # Errors
/// When a file cannot be written, a tensor cannot be read from its device, or the model
/// has tensors that the family's files have no name for.
pub fn save_checkpoint(
    model: &Transformer,
    config: &TransformerConfig,
    weights: WeightType,
    dir: impl AsRef<Path>,
) -> Result<()> {
    use std::io::Write;
    let dir = dir.as_ref();
    let path = dir.join("model.safetensors");
    let format = |reason: String| Error::Format { path: path.clone(), reason };
    let io = |source| counterweight_core::Error::Io { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(io)?;
    let mut collect = Collect {
        architecture: config.architecture,
        path: Vec::new(),
        tensors: BTreeMap::new(),
        error: None,
    };
    model.visit(&mut collect);
    if let Some(reason) = collect.error {
        return Err(format(reason));
    }
    write_tensors(&path, weights, collect.tensors)?;
    let text =
        serde_json::to_vec_pretty(&config.to_hugging_face()).map_err(|e| format(e.to_string()))?;
    write_atomic(dir.join("config.json"), |w| w.write_all(&text))?;
    Ok(())
}

/// Writes tensors by name, each a shape and its values, as transformers and PEFT read them; the
/// file appears whole or not at all.
pub(crate) fn write_tensors(
    path: &Path,
    weights: WeightType,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
) -> Result<()> {
    use std::io::Write;
    let format = |e: safetensors::SafeTensorError| Error::Format {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    let files: Vec<(String, Vec<usize>, Vec<u8>)> = (tensors.into_iter())
        .map(|(name, (shape, values))| (name, shape, weights.bytes(values)))
        .collect();
    let views = files.iter().map(|(name, shape, bytes)| {
        Ok((name.as_str(), TensorView::new(weights.dtype(), shape.clone(), bytes)?))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(format)?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(format)?;
    Ok(write_atomic(path, |w| w.write_all(&bytes))?)
}

impl WeightType {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    fn bytes(self, values: Vec<f32>) -> Vec<u8> {
        let shape = [values.len()];
        let to = match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        };
        TensorData::new(values, shape).convert_dtype(to).as_bytes().to_vec()
    }
}

struct Collect {
    architecture: Architecture,
    path: Vec<String>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    error: Option<String>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        let Some(place) = place(self.architecture, &path) else {
            self.error.get_or_insert(format!("{path}: checkpoints have no place for it"));
            return;
        };
        let mut shape = param.shape().to_vec();
        let mut values: Vec<f32> = match param.val().into_data().try_to_vec_as() {
            Ok(values) => values,
            Err(e) => {
                self.error.get_or_insert(format!("{path}: {e}"));
                return;
            }
        };
        if place.transposed
            && let [inputs, outputs] = shape[..]
        {
            values = transposed(&values, inputs, outputs);
            shape.reverse();
        }
        let Some((i, shares)) = place.share else {
            self.tensors.insert(place.name, (shape, values));
            return;
        };
        // A share of a tensor's columns: the rows are put together as the shares come.
        let width = shape.last().copied().unwrap_or(1);
        if let Some(columns) = shape.last_mut() {
            *columns *= shares;
        }
        let size = values.len() * shares;
        let (_, whole) = (self.tensors.entry(place.name)).or_insert((shape, vec![0.0; size]));
        for (row, part) in whole.chunks_exact_mut(width * shares).zip(values.chunks_exact(width)) {
            row[i * width..(i + 1) * width].copy_from_slice(part);
        }
    }
}
