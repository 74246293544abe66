use std::path::Path;

use burn::tensor::{Device, Tensor};
use counterweight_core::ensure;
use counterweight_kernels::normalized;

use crate::{Checkpoint, Encoded, Encoder, Error, Result, TextBatch, TextTokenizer, Transformer};

/// Texts as vectors whose cosines say how alike they are (Reimers and Gurevych, EMNLP 2019):
/// tokenizer, transformer, pooling, length 1.
///
/// ```no_run
/// use burn::tensor::Device;
/// use counterweight_encoder::SentenceEncoder;
///
/// let encoder = SentenceEncoder::load("all-MiniLM-L6-v2", &Device::flex())?;
/// let vectors = encoder.embed(&["a red dress", "a scarlet gown", "a wrench"])?;
/// let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
/// assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]));
/// # Ok::<(), counterweight_encoder::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SentenceEncoder {
    model: Transformer,
    tokenizer: TextTokenizer,
    device: Device,
    normalize: bool,
    batch_size: usize,
}

impl SentenceEncoder {
    /// Reads a checkpoint, as sentence-transformers saves it or plain.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], [`Checkpoint::load`] and [`TextTokenizer::for_checkpoint`].
    pub fn load(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let checkpoint = Checkpoint::open(dir.as_ref())?;
        let tokenizer = TextTokenizer::for_checkpoint(checkpoint.dir(), checkpoint.config(), None)?;
        let device = device.clone().without_autodiff();
        Ok(Self::new(checkpoint.load(&device)?, tokenizer, &device))
    }

    /// Puts a model and its tokenizer together; the model must live on the device.
    pub fn new(model: Transformer, tokenizer: TextTokenizer, device: &Device) -> Self {
        let device = device.clone().without_autodiff();
        Self { model, tokenizer, device, normalize: true, batch_size: 64 }
    }

    /// Whether vectors get length 1. Default: true.
    #[must_use]
    pub fn with_normalize(mut self, normalize: bool) -> Self {
        self.normalize = normalize;
        self
    }

    /// Sets how many texts are computed at once, at least 1. Default: 64.
    ///
    /// # Errors
    /// When it is 0.
    pub fn with_batch_size(mut self, batch_size: usize) -> Result<Self> {
        ensure("batch_size", batch_size as f64, batch_size >= 1, "[1, inf)")?;
        self.batch_size = batch_size;
        Ok(self)
    }

    /// The width of the vectors.
    pub fn dim(&self) -> usize {
        self.model.dim()
    }

    /// One vector per text, in order. Texts of similar length are computed together.
    ///
    /// # Errors
    /// When the tokenizer fails or a tensor cannot be read back.
    pub fn embed<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<f32>>> {
        let rows: Vec<Encoded> =
            texts.iter().map(|t| self.tokenizer.encode(t.as_ref())).collect::<Result<_>>()?;
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&i| rows[i].len());
        let mut vectors = vec![Vec::new(); rows.len()];
        for chunk in order.chunks(self.batch_size) {
            let texts: Vec<&Encoded> = chunk.iter().map(|&i| &rows[i]).collect();
            let values: Vec<f32> = self
                .forward(&TextBatch::new(&texts, &self.device))
                .try_into_vec_as()
                .map_err(|e| Error::Device { reason: e.to_string() })?;
            for (&i, vector) in chunk.iter().zip(values.chunks_exact(self.dim())) {
                vectors[i] = vector.to_vec();
            }
        }
        Ok(vectors)
    }

    /// The vectors of a batch, `[batch, dim]`.
    pub fn forward(&self, batch: &TextBatch) -> Tensor<2> {
        let vectors = self.model.encode(batch);
        if self.normalize { normalized(vectors) } else { vectors }
    }
}
