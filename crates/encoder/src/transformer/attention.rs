use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use counterweight_kernels::attention;

use super::TransformerConfig;
use super::dense::Dense;
use super::dropout::Dropout;

/// What all layers see of a batch.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// 1 at tokens, 0 at padding, `[batch, length]`.
    pub(crate) mask: Tensor<2>,
    /// What is added to the scores, `[1, heads, length, length]`.
    pub(crate) bias: Option<Tensor<4>>,
    /// Whether a token sees only those before it.
    pub(crate) causal: bool,
}

/// Multi-head self-attention (Vaswani et al., NeurIPS 2017):
/// `softmax(q kᵀ / √d + bias) v` per head, over tokens that are not padding.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    pub(crate) query: Dense,
    pub(crate) key: Dense,
    pub(crate) value: Dense,
    pub(crate) output: Dense,
    pub(crate) dropout: Dropout,
    pub(crate) heads: usize,
}

/// Far below every score, and finite.
const MASKED: f64 = 1e9;

impl Attention {
    pub(crate) fn new(config: &TransformerConfig, device: &Device) -> Self {
        let dense = || Dense::new(config.hidden_size, config.hidden_size, device);
        Self {
            query: dense(),
            key: dense(),
            value: dense(),
            output: dense(),
            dropout: Dropout::new(config.attention_probs_dropout_prob),
            heads: config.num_attention_heads,
        }
    }

    /// `[batch · length, width]` → the same.
    pub(crate) fn forward(&self, x: Tensor<2>, view: &View) -> Tensor<2> {
        let [rows, width] = x.dims();
        let mixed = if view.bias.is_some() {
            let value = self.split(self.value.forward(x.clone()), view);
            let p = self.weights(x, view);
            let [batch, heads, length, _] = p.dims();
            let p = self.dropout.forward(p.reshape([batch * heads * length, length]));
            let mixed = p.reshape([batch, heads, length, length]).matmul(value);
            mixed.swap_dims(1, 2).reshape([rows, width])
        } else {
            let dropout = self.dropout.share(&x.device());
            let qkv = Dense::beside(&[&self.query, &self.key, &self.value], x);
            attention(qkv, view.mask.clone(), self.heads, view.causal, dropout)
        };
        self.output.forward(mixed)
    }

    /// The attention's weights, `[batch, heads, length, length]`; all 0 in a text without tokens.
    pub(crate) fn weights(&self, x: Tensor<2>, view: &View) -> Tensor<4> {
        let [batch, length] = view.mask.dims();
        let query = self.split(self.query.forward(x.clone()), view);
        let key = self.split(self.key.forward(x), view);
        let depth = query.dims()[3];
        let mut scores = query.matmul(key.swap_dims(2, 3)) * (depth as f64).powf(-0.5);
        if let Some(bias) = &view.bias {
            scores = scores + bias.clone();
        }
        let mut seen = view.mask.clone().reshape([batch, 1, 1, length]);
        if view.causal {
            let ones = Tensor::<2>::ones([length, length], &seen.device());
            seen = seen * ones.tril(0).reshape([1, 1, length, length]);
        }
        let scores = scores + (seen.clone() - 1.0) * MASKED;
        softmax(scores, 3) * seen
    }

    /// `[batch, heads, length, depth]`.
    fn split(&self, x: Tensor<2>, view: &View) -> Tensor<4> {
        let [batch, length] = view.mask.dims();
        let depth = x.dims()[1] / self.heads;
        x.reshape([batch, length, self.heads, depth]).swap_dims(1, 2)
    }
}
