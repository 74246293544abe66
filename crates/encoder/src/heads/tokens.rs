use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_core::{derive, ensure, ensure_length};

use crate::{
    ClassifierConfig, Encoded, Error, Result, TextBatch, TextTokenizer, Transformer, seeded,
};

/// The words of a text as tokens, each with the word it is of.
///
/// Made by [`TextTokenizer::encode_words`].
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged {
    /// The tokens.
    pub encoded: Encoded,
    /// The number of each token's word; none for special tokens.
    pub words: Vec<Option<usize>>,
}

impl Tagged {
    /// Where each word begins: its number and the position of its first token. Words that were cut
    /// off are not among them.
    pub fn firsts(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let before = |at: usize| at.checked_sub(1).and_then(|at| self.words[at]);
        let first = move |(at, &word): (usize, &Option<usize>)| {
            word.filter(|_| before(at) != word).map(|word| (word, at))
        };
        self.words.iter().enumerate().filter_map(first)
    }
}

/// A label for each token: tagging, named entities.
///
/// A word is labelled at its first token; the others, special tokens and padding have the label
/// [`IGNORED`](Self::IGNORED), which a loss leaves out with the ignore index of that value, and so
/// does transformers.
///
/// ```
/// use burn::tensor::Device;
/// use counterweight_encoder::{
///     ClassifierConfig, Tagged, TextTokenizer, TokenClassifier, TransformerConfig,
/// };
///
/// let device = Device::flex();
/// let texts = ["ship it to Berlin", "from Paris to Berlin"];
/// let tokenizer = TextTokenizer::train(&texts, 60, 16)?;
/// let config = TransformerConfig {
///     vocab_size: tokenizer.vocabulary(), hidden_size: 16, num_attention_heads: 2,
///     ..TransformerConfig::default()
/// };
/// let model = TokenClassifier::new(config.init(&device)?, &ClassifierConfig::new(2), 7, &device)?;
///
/// let rows: Vec<Tagged> = texts.iter()
///     .map(|text| tokenizer.encode_words(&text.split(' ').collect::<Vec<_>>()))
///     .collect::<Result<_, _>>()?;
/// let labels: [&[usize]; 2] = [&[0, 0, 0, 1], &[0, 1, 0, 1]];
/// let rows: Vec<_> = rows.iter().collect();
/// let targets = TokenClassifier::targets(&rows, &labels, &device)?;
/// let logits = model.flat(&TokenClassifier::batch(&rows, &device));
/// assert_eq!(logits.dims(), [targets.dims()[0], 2]);
/// assert_eq!(model.predict(&rows, &device)?[0].len(), 4);
/// # Ok::<(), counterweight_encoder::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct TokenClassifier {
    encoder: Transformer,
    dropout: Dropout,
    head: Linear,
}

impl TokenClassifier {
    /// The label of what has none.
    pub const IGNORED: i64 = -100;

    /// A classifier on an encoder, its linear head drawn by the seed.
    ///
    /// # Errors
    /// For a field out of range, or a cosine head, which this classifier does not have.
    pub fn new(
        encoder: Transformer,
        config: &ClassifierConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.check()?;
        if config.head != crate::HeadKind::Linear {
            return Err(Error::Unsupported {
                name: "head of a token classifier",
                value: format!("{:?}", config.head),
                allowed: "linear",
            });
        }
        let head = LinearConfig::new(crate::Encoder::dim(&encoder), config.outputs).init(device);
        // BERT's deviation.
        let head = seeded(head, 0.02, derive(seed, 1));
        Ok(Self::with_head(encoder, head, config.dropout))
    }

    pub(crate) fn with_head(encoder: Transformer, head: Linear, dropout: f64) -> Self {
        Self { encoder, dropout: DropoutConfig::new(dropout).init(), head }
    }

    /// The number of labels.
    pub fn classes(&self) -> usize {
        self.head.weight.shape()[1]
    }

    /// Logits of every token, `[batch, length, labels]`.
    pub fn forward(&self, batch: &TextBatch) -> Tensor<3> {
        self.head.forward(self.dropout.forward(self.encoder.forward(batch)))
    }

    /// Logits of every token, one row each, `[batch · length, labels]`, as losses take them.
    pub fn flat(&self, batch: &TextBatch) -> Tensor<2> {
        let logits = self.forward(batch);
        let [rows, length, labels] = logits.dims();
        logits.reshape([rows * length, labels])
    }

    /// Texts padded to the longest of them.
    pub fn batch(rows: &[&Tagged], device: &Device) -> TextBatch {
        TextBatch::new(&rows.iter().map(|row| &row.encoded).collect::<Vec<_>>(), device)
    }

    /// The labels beside [`flat`](Self::flat)'s rows, `[batch · length]`, from those of each
    /// text's words.
    ///
    /// # Errors
    /// When there is not one list for each text, or one is shorter than the text's words.
    pub fn targets(
        rows: &[&Tagged],
        labels: &[&[usize]],
        device: &Device,
    ) -> Result<Tensor<1, Int>> {
        ensure_length("labels", labels.len(), rows.len())?;
        let length = rows.iter().map(|row| row.encoded.len()).max().unwrap_or(0).max(1);
        let mut targets = vec![Self::IGNORED as i32; rows.len() * length];
        for ((row, labels), targets) in
            rows.iter().zip(labels).zip(targets.chunks_exact_mut(length))
        {
            for (word, at) in row.firsts() {
                let Some(&label) = labels.get(word) else {
                    return Err(counterweight_core::Error::Length {
                        what: "a text's labels",
                        got: labels.len(),
                        expected: word + 1,
                    }
                    .into());
                };
                ensure("label", label as f64, i32::try_from(label).is_ok(), "[0, 2^31)")?;
                targets[at] = label as i32;
            }
        }
        let count = targets.len();
        Ok(Tensor::from_data(TensorData::new(targets, [count]), device))
    }

    /// The likeliest label of each word of each text. A word that was cut off has no answer, so
    /// the list may be shorter than the text.
    ///
    /// # Errors
    /// When a tensor cannot be read back.
    pub fn predict(&self, rows: &[&Tagged], device: &Device) -> Result<Vec<Vec<usize>>> {
        let device = device.clone().without_autodiff();
        let mut answers = Vec::with_capacity(rows.len());
        for rows in rows.chunks(64) {
            let batch = Self::batch(rows, &device);
            let length = batch.dims()[1];
            let labels: Vec<i64> = (self.flat(&batch).argmax(1).reshape([-1]))
                .try_into_vec_as()
                .map_err(|e| Error::Device { reason: e.to_string() })?;
            for (row, labels) in rows.iter().zip(labels.chunks_exact(length)) {
                answers.push(row.firsts().map(|(_, at)| labels[at] as usize).collect());
            }
        }
        Ok(answers)
    }
}

impl TextTokenizer {
    /// Encodes a text that is already cut into words, and says which word each token is of. An
    /// empty word has no token and so no place in the answer of
    /// [`TokenClassifier::predict`].
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode_words(&self, words: &[&str]) -> Result<Tagged> {
        let (encoded, words) = self.word_ids(words)?;
        Ok(Tagged { encoded, words })
    }
}
