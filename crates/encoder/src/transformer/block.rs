use burn::module::Module;
use burn::tensor::activation::{gelu_approximate, relu};
use burn::tensor::{Device, Tensor};
use counterweight_kernels::gelu;

use super::attention::{Attention, View};
use super::dense::Dense;
use super::dropout::Dropout;
use super::norm::Norm;
use super::{Activation, TransformerConfig};

/// One layer: attention and a feed-forward network, each with dropout, a way around and a
/// norm, after them (BERT) or before (GPT-2).
#[derive(Module, Debug)]
pub(crate) struct Block {
    pub(crate) attention: Attention,
    pub(crate) attention_norm: Norm,
    pub(crate) up: Dense,
    pub(crate) down: Dense,
    pub(crate) output_norm: Norm,
    pub(crate) dropout: Dropout,
    #[module(skip)]
    pub(crate) activation: Activation,
    pub(crate) norm_first: bool,
}

impl Block {
    pub(crate) fn new(config: &TransformerConfig, device: &Device) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let norm = || Norm::new(width, config.layer_norm_eps, device);
        Self {
            attention: Attention::new(config, device),
            attention_norm: norm(),
            up: Dense::new(width, inner, device),
            down: Dense::new(inner, width, device),
            output_norm: norm(),
            dropout: Dropout::new(config.hidden_dropout_prob),
            activation: config.hidden_act,
            norm_first: config.architecture.norm_first(),
        }
    }

    /// `[batch · length, width]` → the same.
    pub(crate) fn forward(&self, x: Tensor<2>, view: &View) -> Tensor<2> {
        let drop = |x| self.dropout.forward(x);
        if self.norm_first {
            let x = x.clone() + drop(self.attention.forward(self.attended(x), view));
            x.clone() + drop(self.down.forward(self.inner(self.output_norm.forward(x))))
        } else {
            let mixed = drop(self.attention.forward(x.clone(), view));
            let x = self.attention_norm.of_sum(mixed, x);
            self.output_norm.of_sum(drop(self.down.forward(self.inner(x.clone()))), x)
        }
    }

    /// The attention's weights on the same input, `[batch, heads, length, prefix + length]`.
    pub(crate) fn attention_weights(&self, x: Tensor<2>, view: &View) -> Tensor<4> {
        self.attention.weights(self.attended(x), view)
    }

    /// The attention's keys and values on the same input, each `[batch · length, width]`.
    pub(crate) fn keys_and_values(&self, x: Tensor<2>) -> [Tensor<2>; 2] {
        let x = self.attended(x);
        [self.attention.key.forward(x.clone()), self.attention.value.forward(x)]
    }

    /// What of the block's input the attention sees.
    fn attended(&self, x: Tensor<2>) -> Tensor<2> {
        if self.norm_first { self.attention_norm.forward(x) } else { x }
    }

    /// The feed-forward network's hidden layer.
    fn inner(&self, x: Tensor<2>) -> Tensor<2> {
        activate(self.activation, self.up.forward(x))
    }
}

pub(crate) fn activate(activation: Activation, x: Tensor<2>) -> Tensor<2> {
    match activation {
        Activation::Gelu => gelu(x),
        Activation::GeluNew => gelu_approximate(x),
        Activation::Relu => relu(x),
    }
}
