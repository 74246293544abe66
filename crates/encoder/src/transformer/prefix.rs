use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// Trained keys and values of one layer that stand before every text's own.
#[derive(Module, Debug)]
pub(crate) struct Prefix {
    /// `[virtual tokens, width]`.
    pub(crate) keys: Param<Tensor<2>>,
    /// `[virtual tokens, width]`.
    pub(crate) values: Param<Tensor<2>>,
}

impl Prefix {
    pub(crate) fn len(&self) -> usize {
        self.keys.shape()[0]
    }

    /// Queries, keys and values side by side, `[batch · length, 3 · width]`, and the mask of a batch,
    /// with rows for the prefix before those of each text. Its queries are 0: nobody reads what
    /// they find.
    pub(crate) fn before(&self, qkv: Tensor<2>, mask: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let ([batch, length], [_, wide]) = (mask.dims(), qkv.dims());
        let (count, device) = (self.len(), qkv.device());
        let none = Tensor::zeros([count, wide / 3], &device);
        let own = Tensor::cat(vec![none, self.keys.val(), self.values.val()], 1);
        let own = own.unsqueeze::<3>().expand([batch, count, wide]);
        let qkv = Tensor::cat(vec![own, qkv.reshape([batch, length, wide])], 1);
        let mask = Tensor::cat(vec![Tensor::ones([batch, count], &device), mask], 1);
        (qkv.reshape([batch * (count + length), wide]), mask)
    }

    /// The rows of the texts alone, of `[batch · (virtual tokens + length), width]`.
    pub(crate) fn without(&self, mixed: Tensor<2>, length: usize) -> Tensor<2> {
        let ([rows, width], whole) = (mixed.dims(), self.len() + length);
        let batch = rows / whole;
        let texts = mixed.reshape([batch, whole, width]).narrow(1, self.len(), length);
        texts.reshape([batch * length, width])
    }
}
