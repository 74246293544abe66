use burn::module::Module;
use burn::tensor::Tensor;
use counterweight_core::ensure_length;
use counterweight_kernels::normalized;

use crate::{Encoder, Result, TextBatch, TextEncoder};

/// Two towers: queries and items as vectors of length 1, whose cosine is the score (Huang et al.,
/// CIKM 2013; Reimers and Gurevych, EMNLP 2019). Items can be encoded once and searched.
///
/// Train it on pairs of a query and an item that was chosen: the scores of a batch's queries
/// against all its items go into `InBatchSoftmaxConfig` of the losses, at a temperature of about
/// .05, which corrects by log Q for items that are met often as somebody else's negatives (Yi et
/// al., RecSys 2019) and masks accidental hits.
///
/// ```
/// use burn::tensor::Device;
/// use counterweight_encoder::{DualEncoder, EncoderConfig, NgramConfig, TextBatch};
///
/// let device = Device::flex();
/// let config = EncoderConfig::Ngram(NgramConfig::new().with_min_count(1).with_dim(8));
/// let texts = ["red dress", "blue jeans", "a long red dress", "jeans in blue"];
/// let featurizer = config.fit_featurizer(&texts)?;
/// let model = DualEncoder::shared(config.init(&featurizer, 7, &device)?);
///
/// let rows = featurizer.encode_all(&texts)?;
/// let queries = TextBatch::new(&[&rows[0], &rows[1]], &device);
/// let items = TextBatch::new(&[&rows[2], &rows[3]], &device);
/// assert_eq!(model.scores(&queries, &items).dims(), [2, 2]);
/// # Ok::<(), counterweight_encoder::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct DualEncoder {
    query: TextEncoder,
    item: Option<TextEncoder>,
}

impl DualEncoder {
    /// One encoder for both.
    #[must_use]
    pub fn shared(encoder: TextEncoder) -> Self {
        Self { query: encoder, item: None }
    }

    /// An encoder for each.
    ///
    /// # Errors
    /// When their vectors have different widths.
    pub fn separate(query: TextEncoder, item: TextEncoder) -> Result<Self> {
        ensure_length("the item's vector", item.dim(), query.dim())?;
        Ok(Self { query, item: Some(item) })
    }

    /// The width of the vectors.
    pub fn dim(&self) -> usize {
        self.query.dim()
    }

    /// The vectors of queries, `[batch, dim]`.
    pub fn queries(&self, batch: &TextBatch) -> Tensor<2> {
        normalized(self.query.encode(batch))
    }

    /// The vectors of items, `[batch, dim]`.
    pub fn items(&self, batch: &TextBatch) -> Tensor<2> {
        normalized(self.item.as_ref().unwrap_or(&self.query).encode(batch))
    }

    /// The cosine of every query with every item, `[queries, items]`.
    pub fn scores(&self, queries: &TextBatch, items: &TextBatch) -> Tensor<2> {
        self.queries(queries).matmul(self.items(items).transpose())
    }
}
