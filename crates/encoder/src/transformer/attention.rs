use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use counterweight_kernels::attention;

use super::TransformerConfig;
use super::dense::Dense;
use super::dropout::Dropout;
use super::prefix::Prefix;

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
    pub(crate) prefix: Option<Prefix>,
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
            prefix: None,
        }
    }

    /// `[batch · length, width]` → the same.
    pub(crate) fn forward(&self, x: Tensor<2>, view: &View) -> Tensor<2> {
        let [rows, width] = x.dims();
        let mixed = if view.bias.is_some() {
            let value = self.value.forward(x.clone());
            let value = self.split(value, view, self.prefix.as_ref().map(|p| p.values.val()));
            let p = self.weights(x, view);
            let [batch, heads, length, keys] = p.dims();
            let p = self.dropout.forward(p.reshape([batch * heads * length, keys]));
            let mixed = p.reshape([batch, heads, length, keys]).matmul(value);
            mixed.swap_dims(1, 2).reshape([rows, width])
        } else {
            let dropout = self.dropout.share(&x.device());
            let qkv = Dense::beside(&[&self.query, &self.key, &self.value], x);
            let mask = view.mask.clone();
            match &self.prefix {
                Some(prefix) => {
                    let length = mask.dims()[1];
                    let (qkv, mask) = prefix.before(qkv, mask);
                    let mixed = attention(qkv, mask, self.heads, view.causal, dropout);
                    prefix.without(mixed, length)
                }
                None => attention(qkv, mask, self.heads, view.causal, dropout),
            }
        };
        self.output.forward(mixed)
    }

    /// The attention's weights, `[batch, heads, length, prefix + length]`; all 0 in a text without
    /// tokens and prefix. A prefix is at no distance, so that nothing is added to its scores.
    pub(crate) fn weights(&self, x: Tensor<2>, view: &View) -> Tensor<4> {
        let [batch, length] = view.mask.dims();
        let query = self.split(self.query.forward(x.clone()), view, None);
        let prefix = self.prefix.as_ref().map(|p| p.keys.val());
        let key = self.split(self.key.forward(x), view, prefix);
        let [_, _, keys, depth] = key.dims();
        let mut scores = query.matmul(key.swap_dims(2, 3)) * (depth as f64).powf(-0.5);
        // What the text's own columns have, with the same for each of the prefix's before them.
        let (device, before) = (view.mask.device(), keys - length);
        let after = |own: Tensor<4>, value: f64| {
            let [batch, heads, rows, _] = own.dims();
            let prefix = Tensor::full([batch, heads, rows, before], value, &device);
            if before == 0 { own } else { Tensor::cat(vec![prefix, own], 3) }
        };
        if let Some(bias) = &view.bias {
            scores = scores + after(bias.clone(), 0.0);
        }
        let mut seen = after(view.mask.clone().reshape([batch, 1, 1, length]), 1.0);
        if view.causal {
            let ones = Tensor::<2>::ones([length, length], &device);
            seen = seen * after(ones.tril(0).reshape([1, 1, length, length]), 1.0);
        }
        let scores = scores + (seen.clone() - 1.0) * MASKED;
        softmax(scores, 3) * seen
    }

    /// `[batch, heads, length, depth]`, or `[batch, heads, prefix + length, depth]`.
    fn split(&self, x: Tensor<2>, view: &View, prefix: Option<Tensor<2>>) -> Tensor<4> {
        let ([batch, length], [_, width]) = (view.mask.dims(), x.dims());
        let mut x = x.reshape([batch, length, width]);
        if let Some(prefix) = prefix {
            let count = prefix.dims()[0];
            let prefix = prefix.unsqueeze::<3>().expand([batch, count, width]);
            x = Tensor::cat(vec![prefix, x], 1);
        }
        let whole = x.dims()[1];
        x.reshape([batch, whole, self.heads, width / self.heads]).swap_dims(1, 2)
    }
}
