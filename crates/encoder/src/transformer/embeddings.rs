use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Int, Tensor};

use super::dropout::Dropout;
use super::norm::Norm;
use crate::TextBatch;

/// Sum of a token's word, position and type vectors.
#[derive(Module, Debug)]
pub(crate) struct Embeddings {
    pub(crate) word: Embedding,
    pub(crate) position: Embedding,
    pub(crate) token_type: Option<Embedding>,
    pub(crate) norm: Option<Norm>,
    pub(crate) dropout: Dropout,
    /// The first token's position.
    pub(crate) offset: usize,
}

impl Embeddings {
    /// The word vectors alone, `[batch, length, width]`.
    pub(crate) fn words(&self, batch: &TextBatch) -> Tensor<3> {
        self.word.forward(batch.ids.clone())
    }

    /// Word vectors with what stands around them, normed: `[batch · length, width]`. Their positions
    /// begin after so many that are taken.
    pub(crate) fn around(&self, words: Tensor<3>, batch: &TextBatch, after: usize) -> Tensor<2> {
        let [rows, length, width] = words.dims();
        let device = words.device();
        let first = (self.offset + after) as i64;
        let positions = Tensor::<1, Int>::arange(first..first + length as i64, &device);
        let mut around = self.position.forward(positions.unsqueeze_dim(0));
        let mut sum = words;
        if let Some(table) = &self.token_type {
            match &batch.types {
                Some(types) => sum = sum + table.forward(types.clone()),
                // All of type 0: one row for every token.
                None => around = around + table.weight.val().narrow(0, 0, 1).unsqueeze_dim(0),
            }
        }
        let sum = (sum + around).reshape([rows * length, width]);
        let sum = match &self.norm {
            Some(norm) => norm.forward(sum),
            None => sum,
        };
        self.dropout.forward(sum)
    }
}
