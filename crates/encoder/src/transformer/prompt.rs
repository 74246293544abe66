use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

use crate::TextBatch;

/// Trained vectors that stand before every text, where word vectors would.
#[derive(Module, Debug)]
pub(crate) struct Prompt {
    /// `[virtual tokens, width]`.
    pub(crate) vectors: Param<Tensor<2>>,
}

impl Prompt {
    pub(crate) fn len(&self) -> usize {
        self.vectors.shape()[0]
    }

    /// The words and the batch's mask and types with the vectors before them.
    pub(crate) fn before(&self, words: Tensor<3>, batch: &TextBatch) -> (Tensor<3>, TextBatch) {
        let [rows, _, width] = words.dims();
        let (count, device) = (self.len(), words.device());
        let vectors = self.vectors.val().unsqueeze::<3>().expand([rows, count, width]);
        let none = || Tensor::<2, Int>::zeros([rows, count], &device);
        let longer = TextBatch {
            ids: Tensor::cat(vec![none(), batch.ids.clone()], 1),
            weights: Tensor::cat(
                vec![Tensor::ones([rows, count], &device), batch.weights.clone()],
                1,
            ),
            types: batch.types.clone().map(|types| Tensor::cat(vec![none(), types], 1)),
        };
        (Tensor::cat(vec![vectors, words], 1), longer)
    }
}
