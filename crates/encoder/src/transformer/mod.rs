//! Transformers of the BERT family and GPT-2, from one set of modules.

mod attention;
mod block;
mod config;
mod dense;
mod dropout;
mod embeddings;
mod hugging_face;
mod norm;
mod pooling;
mod relative;

use burn::module::Module;
use burn::tensor::Tensor;

pub use config::{Activation, Architecture, TransformerConfig};
pub use pooling::Pooling;

pub(crate) use block::Block;
pub(crate) use dense::{Dense, LowRank};
pub(crate) use dropout::Dropout;

use attention::View;
use embeddings::Embeddings;
use norm::Norm;
use relative::RelativeBias;

use crate::{Encoder, TextBatch};

/// See [`TransformerConfig`].
#[derive(Module, Debug)]
pub struct Transformer {
    pub(crate) embeddings: Embeddings,
    pub(crate) relative: Option<RelativeBias>,
    pub(crate) blocks: Vec<Block>,
    /// After the last block, where norms stand before the layers.
    pub(crate) norm: Option<Norm>,
    pub(crate) pooler: Option<Dense>,
    #[module(skip)]
    pub(crate) pooling: Pooling,
}

impl Transformer {
    /// The hidden state of every token, `[batch, length, width]`. What stands at padding has
    /// no meaning.
    ///
    /// # Panics
    /// When the length exceeds the model's positions.
    pub fn forward(&self, batch: &TextBatch) -> Tensor<3> {
        let [rows, length] = batch.dims();
        let hidden = self.rows(self.embeddings.forward(batch), &self.view(batch));
        hidden.reshape([rows as i32, length as i32, -1])
    }

    /// The text's vector from its hidden states, `[batch, width]`.
    pub fn pool(&self, hidden: Tensor<3>, batch: &TextBatch) -> Tensor<2> {
        let mask = batch.weights.clone().not_equal_scalar(0.0).float();
        let pooled = self.pooling.pool(hidden, mask);
        match &self.pooler {
            Some(pooler) => pooler.forward(pooled).tanh(),
            None => pooled,
        }
    }

    fn view(&self, batch: &TextBatch) -> View {
        let length = batch.dims()[1];
        let device = batch.weights.device();
        View {
            // Token dropout scales the weights; attention wants to know what is there.
            mask: batch.weights.clone().not_equal_scalar(0.0).float(),
            bias: self.relative.as_ref().map(|r| r.forward(length, &device).unsqueeze()),
            causal: self.norm.is_some(),
        }
    }

    fn rows(&self, mut hidden: Tensor<2>, view: &View) -> Tensor<2> {
        for block in &self.blocks {
            hidden = block.forward(hidden, view);
        }
        match &self.norm {
            Some(norm) => norm.forward(hidden),
            None => hidden,
        }
    }
}

impl Encoder for Transformer {
    fn encode(&self, batch: &TextBatch) -> Tensor<2> {
        self.pool(self.forward(batch), batch)
    }

    fn dim(&self) -> usize {
        self.embeddings.word.weight.shape()[1]
    }
}
