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
mod prefix;
mod prompt;
mod relative;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;

pub use config::{Activation, Architecture, TransformerConfig};
pub use pooling::Pooling;

pub(crate) use block::{Block, activate};
pub(crate) use dense::{Dense, LowRank};
pub(crate) use dropout::Dropout;
pub(crate) use norm::Norm;
pub(crate) use prefix::Prefix;
pub(crate) use prompt::Prompt;

use attention::View;
use embeddings::Embeddings;
use relative::RelativeBias;

use crate::{Encoder, TextBatch};

/// See [`TransformerConfig`].
#[derive(Module, Debug)]
pub struct Transformer {
    pub(crate) embeddings: Embeddings,
    pub(crate) prompt: Option<Prompt>,
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
        self.forward_words(self.embeddings.words(batch), batch)
    }

    /// The hidden states from other word vectors than those of the batch's ids,
    /// `[batch, length, width]`.
    pub(crate) fn forward_words(&self, words: Tensor<3>, batch: &TextBatch) -> Tensor<3> {
        let [rows, length, width] = words.dims();
        let (mut hidden, view) = self.begin(words, batch);
        for block in &self.blocks {
            hidden = block.forward(hidden, &view);
        }
        if let Some(norm) = &self.norm {
            hidden = norm.forward(hidden);
        }
        let before = self.prompt.as_ref().map_or(0, Prompt::len);
        hidden.reshape([rows, before + length, width]).narrow(1, before, length)
    }

    /// What enters the first block: the embeddings, and what all blocks see of the batch.
    fn begin(&self, words: Tensor<3>, batch: &TextBatch) -> (Tensor<2>, View) {
        let after = self.prefix_tokens();
        match &self.prompt {
            Some(prompt) => {
                let (words, batch) = prompt.before(words, batch);
                (self.embeddings.around(words, &batch, after), self.view(&batch))
            }
            None => (self.embeddings.around(words, batch, after), self.view(batch)),
        }
    }

    /// What each layer has as keys and values of the tokens, each `[batch · length, width]`, in a model
    /// without prefix and as if without prompt.
    pub(crate) fn keys_and_values(&self, batch: &TextBatch) -> Vec<[Tensor<2>; 2]> {
        let mut hidden = self.embeddings.around(self.embeddings.words(batch), batch, 0);
        let view = self.view(batch);
        let mut found = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            found.push(block.keys_and_values(hidden.clone()));
            hidden = block.forward(hidden, &view);
        }
        found
    }

    /// The attention of every layer, each `[batch, heads, length, length]`: how much each token
    /// (third) takes from each (last). Rows sum to 1, and are 0 in a text without tokens. A prompt's
    /// vectors are tokens before the text; of a prefix, tokens take but it takes from none, so that
    /// only the last dimension is longer.
    ///
    /// # Panics
    /// When the length exceeds the model's positions.
    pub fn attentions(&self, batch: &TextBatch) -> Vec<Tensor<4>> {
        let (mut hidden, view) = self.begin(self.embeddings.words(batch), batch);
        let mut maps = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            maps.push(block.attention_weights(hidden.clone(), &view));
            hidden = block.forward(hidden, &view);
        }
        maps
    }

    /// The model with all dropouts at 0, on any device.
    #[must_use]
    pub fn without_dropout(mut self) -> Self {
        self.embeddings.dropout.prob = 0.0;
        for block in &mut self.blocks {
            (block.dropout.prob, block.attention.dropout.prob) = (0.0, 0.0);
            for target in crate::Target::ALL {
                if let Some(lora) = &mut target.of_mut(block).lora {
                    lora.dropout.prob = 0.0;
                }
            }
        }
        self
    }

    /// The text's vector from its hidden states, `[batch, width]`.
    pub fn pool(&self, hidden: Tensor<3>, batch: &TextBatch) -> Tensor<2> {
        let mask = batch.weights.clone().not_equal_scalar(0.0).float();
        let pooled = self.pooling.pool(hidden, mask);
        match (&self.pooler, self.pooling) {
            (Some(layer), Pooling::PreClassifier) => relu(layer.forward(pooled)),
            (Some(layer), _) => layer.forward(pooled).tanh(),
            (None, _) => pooled,
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
}

impl Encoder for Transformer {
    fn encode(&self, batch: &TextBatch) -> Tensor<2> {
        self.pool(self.forward(batch), batch)
    }

    fn dim(&self) -> usize {
        self.embeddings.word.weight.shape()[1]
    }
}
