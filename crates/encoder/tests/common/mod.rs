//! Fixtures: tensors in a safetensors file, by name.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_encoder::TextBatch;
use safetensors::{Dtype, SafeTensors};

pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub(crate) struct Expected {
    bytes: Vec<u8>,
}

impl Expected {
    pub(crate) fn read(path: impl AsRef<Path>) -> Self {
        Self { bytes: std::fs::read(path).unwrap() }
    }

    pub(crate) fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.file().tensor(name).is_ok()
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        let file = self.file();
        let tensor = file.tensor(name).unwrap_or_else(|_| panic!("no {name}"));
        assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
        tensor.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.file().tensor(name).unwrap().shape().to_vec()
    }

    fn ints(&self, name: &str, device: &Device) -> Tensor<2, Int> {
        let file = self.file();
        let tensor = file.tensor(name).unwrap();
        let values: Vec<i32> =
            tensor.data().as_chunks().0.iter().map(|&b| i32::from_le_bytes(b)).collect();
        let shape: [usize; 2] = tensor.shape().try_into().unwrap();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// `ids` and `mask`, and `types` if wanted.
    pub(crate) fn batch(&self, types: bool, device: &Device) -> TextBatch {
        let ids = self.ids(device);
        let mask = TensorData::new(self.floats("mask"), ids.dims());
        TextBatch {
            ids,
            weights: Tensor::from_data(mask, device),
            types: types.then(|| self.ints("types", device)),
        }
    }

    pub(crate) fn ids(&self, device: &Device) -> Tensor<2, Int> {
        self.ints("ids", device)
    }
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// The largest difference where the mask is 1; what stands at padding is nobody's business.
pub(crate) fn gap(got: &[f32], expected: &[f32], mask: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    let width = got.len() / mask.len();
    let at_tokens = |i: &usize| mask[i / width] == 1.0;
    (0..got.len()).filter(at_tokens).map(|i| (got[i] - expected[i]).abs()).fold(0.0, f32::max)
}
