//! Guessing masked tokens: fill-in, continued pretraining, substitution.

use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_core::{ensure, rng};
use rand::RngExt;

use crate::transformer::{Dense, Norm, activate};
use crate::{
    Activation, Architecture, Encoded, Error, Result, TextBatch, TextTokenizer, Transformer,
    TransformerConfig,
};

/// A transformer with the head of its pretraining: logits of every piece of the vocabulary for
/// every token (Devlin et al., NAACL 2019). The last layer is the word embedding itself.
#[derive(Module, Debug)]
pub struct MaskedLm {
    pub(crate) encoder: Transformer,
    transform: Dense,
    norm: Norm,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    activation: Activation,
}

/// A guess for a masked token.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// The piece's id.
    pub id: u32,
    /// The piece as written in the vocabulary.
    pub token: String,
    /// Its probability.
    pub probability: f32,
}

impl MaskedLm {
    /// A model with arbitrary weights; see
    /// [`Checkpoint::load_masked_lm`](crate::Checkpoint::load_masked_lm) for trained ones.
    ///
    /// # Errors
    /// When a field is out of range, and for GPT-2.
    pub fn new(config: &TransformerConfig, device: &Device) -> Result<Self> {
        if config.architecture.is_causal() {
            return Err(Error::Unsupported {
                name: "masked LM of",
                value: "gpt2".to_owned(),
                allowed: "bert, roberta, xlm-roberta, distilbert, mpnet",
            });
        }
        let width = config.hidden_size;
        Ok(Self {
            encoder: config.init(device)?,
            transform: Dense::new(width, width, device),
            norm: Norm::new(width, config.layer_norm_eps, device),
            bias: Param::from_tensor(Tensor::zeros([config.vocab_size], device)),
            activation: match config.architecture {
                Architecture::Bert | Architecture::Distilbert => config.hidden_act,
                _ => Activation::Gelu,
            },
        })
    }

    /// The encoder without the head, after continued pretraining.
    pub fn into_encoder(self) -> Transformer {
        self.encoder
    }

    /// Logits of some tokens: `at` are numbers `row · length + position` in the batch;
    /// `[at, vocabulary]`.
    pub fn logits_at(&self, batch: &TextBatch, at: &[usize]) -> Tensor<2> {
        let hidden = self.encoder.forward(batch);
        let [rows, length, width] = hidden.dims();
        let device = hidden.device();
        let at: Vec<i32> = at.iter().map(|&i| i as i32).collect();
        let count = at.len();
        let at = Tensor::<1, Int>::from_data(TensorData::new(at, [count]), &device);
        let hidden = hidden.reshape([rows * length, width]).select(0, at);
        let hidden = self.norm.forward(activate(self.activation, self.transform.forward(hidden)));
        let words = self.encoder.embeddings.word.weight.val();
        hidden.matmul(words.transpose()) + self.bias.val().unsqueeze()
    }

    /// Logits of every token, `[batch, length, vocabulary]`.
    pub fn forward(&self, batch: &TextBatch) -> Tensor<3> {
        let [rows, length] = batch.dims();
        let logits = self.logits_at(batch, &(0..rows * length).collect::<Vec<_>>());
        logits.reshape([rows as i32, length as i32, -1])
    }

    /// The loss of guessing the hidden tokens of [`hide_tokens`]: mean cross entropy.
    pub fn loss(&self, hidden: &Hidden, device: &Device) -> Tensor<1> {
        let rows: Vec<&Encoded> = hidden.rows.iter().collect();
        let batch = TextBatch::new(&rows, device);
        let length = batch.dims()[1];
        let at: Vec<usize> = hidden.places.iter().map(|&(row, i, _)| row * length + i).collect();
        let ids: Vec<i32> = hidden.places.iter().map(|&(.., id)| id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [at.len(), 1]), device);
        -log_softmax(self.logits_at(&batch, &at), 1).gather(1, ids).mean()
    }

    /// The `most` likely pieces for each mask token of a text, in the order of the masks.
    ///
    /// # Errors
    /// When the text has no mask token, the tokenizer fails or knows none, or a tensor cannot
    /// be read back.
    pub fn fill(
        &self,
        tokenizer: &TextTokenizer,
        text: &str,
        most: usize,
        device: &Device,
    ) -> Result<Vec<Vec<Guess>>> {
        let mask = tokenizer.mask_id()?;
        let encoded = tokenizer.encode(text)?;
        let at: Vec<usize> = (0..encoded.len()).filter(|&i| encoded.ids[i] == mask).collect();
        if at.is_empty() {
            return Err(Error::Tokenizer { reason: format!("no mask token in {text:?}") });
        }
        let logits = self.logits_at(&TextBatch::new(&[&encoded], device), &at);
        let classes = logits.dims()[1];
        let p: Vec<f32> = log_softmax(logits, 1)
            .exp()
            .try_into_vec_as()
            .map_err(|e| Error::Device { reason: e.to_string() })?;
        let guesses = |p: &[f32]| {
            let mut order: Vec<usize> = (0..p.len()).collect();
            order.sort_by(|&a, &b| p[b].total_cmp(&p[a]));
            let guess = |&id: &usize| Guess {
                id: id as u32,
                token: tokenizer.token(id as u32).unwrap_or_default(),
                probability: p[id],
            };
            order.iter().take(most).map(guess).collect()
        };
        Ok(p.chunks_exact(classes).map(guesses).collect())
    }
}

/// Texts with hidden tokens, and what stood there.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    /// The texts as the model sees them.
    pub rows: Vec<Encoded>,
    /// Row, position and id of each hidden token.
    pub places: Vec<(usize, usize, u32)>,
}

/// Hides a share of the tokens, at least one of each text that has any: of these 80 % become the
/// mask token, 10 % a random piece and 10 % stay (Devlin et al., NAACL 2019). Special tokens are
/// never hidden.
///
/// # Errors
/// When the share is not in `(0, 1)`, or the tokenizer has no mask token.
pub fn hide_tokens(
    tokenizer: &TextTokenizer,
    rows: &[&Encoded],
    share: f64,
    seed: u64,
) -> Result<Hidden> {
    ensure("share", share, share > 0.0 && share < 1.0, "(0, 1)")?;
    let mask = tokenizer.mask_id()?;
    let pieces = tokenizer.pieces() as u32;
    let special = tokenizer.special_ids();
    let mut rng = rng(seed);
    let mut hidden = Hidden { rows: Vec::with_capacity(rows.len()), places: Vec::new() };
    for (r, row) in rows.iter().enumerate() {
        let mut row = (*row).clone();
        let open: Vec<usize> = (0..row.len()).filter(|&i| !special.contains(&row.ids[i])).collect();
        let mut chosen: Vec<usize> =
            open.iter().copied().filter(|_| rng.random::<f64>() < share).collect();
        if chosen.is_empty() && !open.is_empty() {
            chosen.push(open[rng.random_range(0..open.len())]);
        }
        for i in chosen {
            hidden.places.push((r, i, row.ids[i]));
            row.ids[i] = match rng.random::<f64>() {
                u if u < 0.8 => mask,
                u if u < 0.9 => rng.random_range(0..pieces),
                _ => row.ids[i],
            };
        }
        hidden.rows.push(row);
    }
    Ok(hidden)
}
