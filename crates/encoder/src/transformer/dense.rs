use burn::module::{Module, Param};
use burn::nn::LinearConfig;
use burn::tensor::{Device, Tensor};
use counterweight_kernels::dense;

use super::Dropout;

/// `x W + b`, with the low-rank update of LoRA where it is adapted.
#[derive(Module, Debug)]
pub(crate) struct Dense {
    /// `[inputs, outputs]`.
    pub(crate) weight: Param<Tensor<2>>,
    pub(crate) bias: Param<Tensor<1>>,
    pub(crate) lora: Option<LowRank>,
}

/// `scale · dropout(x) A B`.
#[derive(Module, Debug)]
pub(crate) struct LowRank {
    /// `[inputs, rank]`.
    pub(crate) a: Param<Tensor<2>>,
    /// `[rank, outputs]`.
    pub(crate) b: Param<Tensor<2>>,
    pub(crate) dropout: Dropout,
    pub(crate) scale: f64,
}

impl Dense {
    pub(crate) fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        let linear = LinearConfig::new(inputs, outputs).init(device);
        let bias = linear.bias.unwrap_or_else(|| {
            unreachable!("a linear layer has a bias unless it is told otherwise")
        });
        Self { weight: linear.weight, bias, lora: None }
    }

    /// `[inputs, outputs]`.
    pub(crate) fn dims(&self) -> [usize; 2] {
        self.weight.shape().dims()
    }

    /// `[rows, inputs]` → `[rows, outputs]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let plain = dense(x.clone(), self.weight.val(), self.bias.val());
        match &self.lora {
            Some(lora) => plain + lora.forward(x),
            None => plain,
        }
    }

    /// Several layers of one input side by side, `[rows, Σ outputs]`, as one product where
    /// none is adapted.
    pub(crate) fn beside(layers: &[&Self], x: Tensor<2>) -> Tensor<2> {
        if layers.iter().any(|layer| layer.lora.is_some()) {
            return Tensor::cat(layers.iter().map(|layer| layer.forward(x.clone())).collect(), 1);
        }
        let weight = Tensor::cat(layers.iter().map(|layer| layer.weight.val()).collect(), 1);
        let bias = Tensor::cat(layers.iter().map(|layer| layer.bias.val()).collect(), 0);
        dense(x, weight, bias)
    }
}

impl LowRank {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.dropout.forward(x);
        x.matmul(self.a.val()).matmul(self.b.val()) * self.scale
    }
}
