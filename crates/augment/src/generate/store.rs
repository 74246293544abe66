//! Models as one file: tensors in safetensors, the rest as JSON in its metadata.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::layers::{numbers, upload};
use crate::{Error, Result};

/// The metadata's keys.
const KIND: &str = "counterweight";
const HEAD: &str = "head";

/// See the module.
pub(crate) struct Stored;

impl Stored {
    /// Writes a model of a kind, all or nothing.
    pub(crate) fn write(
        path: &Path,
        kind: &str,
        head: &impl Serialize,
        tensors: &[Tensor<2>],
    ) -> Result<()> {
        let format = |reason: String| Error::Format { path: path.to_owned(), reason };
        let head = serde_json::to_string(head).map_err(|e| format(e.to_string()))?;
        let metadata = HashMap::from([(KIND.to_owned(), kind.to_owned()), (HEAD.to_owned(), head)]);
        let mut all = Vec::new();
        for (at, tensor) in tensors.iter().enumerate() {
            let bytes: Vec<u8> =
                numbers(tensor.clone())?.iter().flat_map(|v| v.to_le_bytes()).collect();
            all.push((format!("{at:04}"), tensor.dims(), bytes));
        }
        let mut views = Vec::new();
        for (name, shape, bytes) in &all {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes)
                .map_err(|e| format(e.to_string()))?;
            views.push((name, view));
        }
        let bytes =
            safetensors::serialize(views, Some(metadata)).map_err(|e| format(e.to_string()))?;
        Ok(counterweight_core::write_atomic(path, |file| file.write_all(&bytes))?)
    }

    /// Reads a model of a kind.
    pub(crate) fn read<H: DeserializeOwned>(
        path: &Path,
        kind: &str,
        device: &Device,
    ) -> Result<(H, Vec<Tensor<2>>)> {
        let format = |reason: String| Error::Format { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|source| {
            Error::Core(counterweight_core::Error::Io { path: path.to_owned(), source })
        })?;
        let bad = |e: safetensors::SafeTensorError| format(e.to_string());
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(bad)?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        let found = metadata.get(KIND).map_or("no generator of this library", String::as_str);
        if found != kind {
            return Err(format(format!("holds {found:?}, not {kind:?}")));
        }
        let head = metadata.get(HEAD).map_or("", String::as_str);
        let head = serde_json::from_str(head).map_err(|e| format(e.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(bad)?;
        let mut names: Vec<_> = file.names();
        names.sort_unstable();
        let mut tensors = Vec::new();
        for name in names {
            let view = file.tensor(name).map_err(bad)?;
            let [_, columns] = view.shape() else {
                return Err(format(format!("tensor {name} has shape {:?}", view.shape())));
            };
            if view.dtype() != Dtype::F32 {
                return Err(format(format!("tensor {name} is {:?}, not F32", view.dtype())));
            }
            let (words, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = words.iter().map(|w| f32::from_le_bytes(*w)).collect();
            if let Some(value) = values.iter().find(|v| !v.is_finite()) {
                return Err(format(format!("tensor {name} holds {value}")));
            }
            tensors.push(upload(values, *columns, device));
        }
        Ok((head, tensors))
    }

    /// The error of a file whose parts do not fit.
    pub(crate) fn broken(path: &Path) -> Error {
        let reason = "its parts do not fit one another".to_owned();
        Error::Format { path: path.to_owned(), reason }
    }

    /// The shapes of tensors.
    pub(crate) fn shapes(tensors: &[Tensor<2>]) -> Vec<[usize; 2]> {
        tensors.iter().map(Tensor::dims).collect()
    }

    /// Tensors of these shapes, no more and no fewer.
    pub(crate) fn expect(path: &Path, tensors: &[Tensor<2>], shapes: &[[usize; 2]]) -> Result<()> {
        let found = Self::shapes(tensors);
        if found == shapes {
            return Ok(());
        }
        let reason = format!("tensors of shapes {found:?}, where {shapes:?} are expected");
        Err(Error::Format { path: path.to_owned(), reason })
    }
}
