//! Tensors of a file by name, whatever the format.

use std::collections::BTreeMap;
use std::path::Path;

use burn::store::{ModuleStore, PytorchStore, SafetensorsStore};
use burn::tensor::TensorData;

use crate::{Error, Result};

/// A file's tensors; the values are read when they are asked for.
#[derive(Debug)]
pub(crate) struct Tensors {
    path: std::path::PathBuf,
    tensors: BTreeMap<String, burn::store::burn_pack::Tensor>,
}

impl Tensors {
    /// Opens a `.safetensors` or a PyTorch file (`.bin`, `.pt`, `.pth`), the latter by a
    /// reader that knows tensors only and runs nothing.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let format = |reason: String| Error::Format { path: path.to_owned(), reason };
        if let Err(source) = std::fs::File::open(path) {
            return Err(Error::Data(counterweight_core::Error::Io {
                path: path.to_owned(),
                source,
            }));
        }
        let tensors = if path.extension().is_some_and(|e| e == "safetensors") {
            let mut store = SafetensorsStore::from_file(path);
            store.get_all_tensors().map_err(|e| format(e.to_string()))?.clone()
        } else {
            let mut store = PytorchStore::from_file(path);
            store.get_all_tensors().map_err(|e| format(e.to_string()))?.clone()
        };
        Ok(Self { path: path.to_owned(), tensors })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|t| t.shape.to_vec())
    }

    /// The values in f32, whatever float type the file has.
    pub(crate) fn values(&self, name: &str) -> Result<Option<Vec<f32>>> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        let bad = |reason: String| Error::Format {
            path: self.path.clone(),
            reason: format!("{name}: {reason}"),
        };
        if !tensor.dtype.is_float() {
            return Err(bad(format!("{:?} is not a float type", tensor.dtype)));
        }
        let bytes = tensor.to_bytes().map_err(|e| bad(e.to_string()))?;
        let data = TensorData::from_bytes(bytes, tensor.shape.clone(), tensor.dtype);
        let values = data.convert::<f32>().try_into_vec().map_err(|e| bad(format!("{e:?}")))?;
        Ok(Some(values))
    }
}
