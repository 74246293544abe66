//! Why a text was classified so.

use burn::module::{Module, ModuleMapper};
use burn::tensor::{Device, Tensor};
use counterweight_core::ensure;

use crate::transformer::Prompt;
use crate::{
    Encoded, Error, Featurizer, Pooling, Result, TextBatch, TextClassifier, TextEncoder,
    TextTokenizer, Transformer,
};

/// How a token's share in a logit is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// The gradient of the logit by the token's word vector, times the vector (Shrikumar et al.
    /// 2017): one backward pass.
    GradientTimesInput,
    /// The mean of that gradient on the way from zero vectors to the text's, times the vectors
    /// (Sundararajan et al., ICML 2017), in so many steps, at least 2. The shares sum up to the
    /// logit's difference from that of zero vectors; 32 steps come near.
    IntegratedGradients(usize),
    /// Attention roll-out (Abnar and Zuidema, ACL 2020): how much of each token reaches the text's
    /// vector, when every layer passes half of its input by and mixes half by the mean of its
    /// heads. Of no class in particular; the shares are not negative and sum to 1. Where the
    /// pooling is by maximum, as for the mean.
    AttentionRollout,
}

/// A piece of a text and its share in a class's logit: positive for, negative against.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// The piece as written in the text, or the special token.
    pub text: String,
    /// Its bytes in the text; `0..0` for special tokens.
    pub bytes: std::ops::Range<usize>,
    /// What it adds to the logit.
    pub value: f64,
}

/// The shares of a text's tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The text.
    pub text: String,
    /// One per token, in order.
    pub shares: Vec<Share>,
    /// The class's logit.
    pub logit: f64,
    /// The logit of zero vectors, from where integrated gradients begin.
    pub baseline: f64,
}

impl TextClassifier {
    /// The share of each token of a text in the logit of a class. The model is taken without
    /// dropout. For transformers.
    ///
    /// # Errors
    /// For another encoder, a class outside the head, too few steps, a tokenizer error, or a
    /// tensor that cannot be read back.
    pub fn explain(
        &self,
        featurizer: &Featurizer,
        text: &str,
        class: usize,
        by: Attribution,
        device: &Device,
    ) -> Result<Explanation> {
        let Featurizer::Tokens(tokenizer) = featurizer else {
            return Err(Error::Mismatch { encoder: "transformer", featurizer: featurizer.kind() });
        };
        let classes = self.classes();
        ensure("class", class as f64, class < classes, "[0, classes)")?;
        if let Attribution::IntegratedGradients(steps) = by {
            ensure("steps", steps as f64, steps >= 2, "[2, inf)")?;
        }
        self.explain_tokens(tokenizer, text, class, by, device)
    }

    fn explain_tokens(
        &self,
        tokenizer: &TextTokenizer,
        text: &str,
        class: usize,
        by: Attribution,
        device: &Device,
    ) -> Result<Explanation> {
        let device = device.clone().without_autodiff().autodiff();
        // Only the word vectors are tracked.
        let model = self.clone().map(&mut Onto(&device));
        let TextEncoder::Transformer(encoder) = model.encoder().clone().without_dropout() else {
            return Err(Error::Mismatch { encoder: "n-gram", featurizer: "subword" });
        };
        let spans = tokenizer.spans(text)?;
        let encoded: &Encoded = &spans.encoded;
        let batch = TextBatch::new(&[encoded], &device);
        let read = |x: Tensor<1>| -> Result<Vec<f64>> {
            x.try_into_vec_as().map_err(|e| Error::Device { reason: e.to_string() })
        };
        let words = encoder.embeddings.words(&batch).detach();
        let logit = |words: Tensor<3>| {
            let hidden = encoder.forward_words(words, &batch);
            let logits = model.classify(encoder.pool(hidden, &batch));
            logits.narrow(1, class, 1)
        };
        let points: Vec<f64> = match by {
            Attribution::GradientTimesInput => vec![1.0],
            // The middles of equal parts of the way.
            Attribution::IntegratedGradients(steps) => {
                (0..steps).map(|i| (i as f64 + 0.5) / steps as f64).collect()
            }
            Attribution::AttentionRollout => Vec::new(),
        };
        let mut total = match by {
            Attribution::AttentionRollout => {
                let shares = encoder.attention_rollout(&batch).inner();
                read(shares.reshape([-1]))?
            }
            _ => vec![0.0; encoded.len()],
        };
        for &point in &points {
            let at = (words.clone() * point).require_grad();
            let gradients = logit(at.clone()).sum().backward();
            let Some(gradient) = at.grad(&gradients) else { continue };
            let shares = (gradient * words.clone().inner()).sum_dim(2).reshape([-1]);
            for (total, share) in total.iter_mut().zip(read(shares)?) {
                *total += share / points.len() as f64;
            }
        }
        let value = |words: Tensor<3>| Ok::<_, Error>(read(logit(words).reshape([1]))?[0]);
        let shares = total.into_iter().enumerate().map(|(i, value)| {
            let (start, end) = spans.offsets.get(i).copied().unwrap_or_default();
            let special = spans.special.get(i).copied().unwrap_or(true);
            let token = || spans.tokens.get(i).cloned().unwrap_or_default();
            let written = text.get(start..end).filter(|_| !special).map(str::to_owned);
            Share { text: written.unwrap_or_else(token), bytes: start..end, value }
        });
        Ok(Explanation {
            text: text.to_owned(),
            shares: shares.collect(),
            logit: value(words.clone())?,
            baseline: value(words * 0.0)?,
        })
    }
}

impl Explanation {
    /// The text with a coloured ground behind each token, green for and red against the class,
    /// as an HTML fragment.
    pub fn to_html(&self) -> String {
        use std::fmt::Write;
        let largest = self.shares.iter().fold(1e-12, |m: f64, s| m.max(s.value.abs()));
        let mut html = String::from("<p>");
        let mut written = 0;
        for share in self.shares.iter().filter(|s| !s.bytes.is_empty()) {
            if let Some(between) = self.text.get(written..share.bytes.start) {
                html.push_str(&escaped(between));
            }
            let colour = if share.value > 0.0 { "46, 160, 67" } else { "218, 54, 51" };
            let strength = share.value.abs() / largest;
            // Writing to a string cannot fail.
            let _ = write!(
                html,
                "<span title=\"{:+.3}\" style=\"background: rgba({colour}, {strength:.2})\">{}</span>",
                share.value,
                escaped(&share.text),
            );
            written = share.bytes.end.max(written);
        }
        html.push_str(&escaped(self.text.get(written..).unwrap_or_default()));
        html.push_str("</p>");
        html
    }
}

impl std::fmt::Display for Explanation {
    /// A line per token: its share and its text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for share in &self.shares {
            writeln!(f, "{:+8.3}  {}", share.value, share.text)?;
        }
        write!(f, "{:+8.3}  in all, from {:+.3} to {:+.3}", self.total(), self.baseline, self.logit)
    }
}

impl Explanation {
    /// The sum of the shares.
    pub fn total(&self) -> f64 {
        self.shares.iter().map(|s| s.value).sum()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Transformer {
    /// How much of each token reaches the text's vector through the layers' attention
    /// (Abnar and Zuidema, ACL 2020): `R = Π (I + mean of the heads) / 2`, of which the row
    /// or the mean of the rows that the pooling takes, `[batch, length]`. Rows sum to 1, but
    /// for what a prompt's or a prefix's vectors have of them.
    ///
    /// # Panics
    /// When the length exceeds the model's positions.
    pub fn attention_rollout(&self, batch: &TextBatch) -> Tensor<2> {
        let [rows, length] = batch.dims();
        let before = self.prompt.as_ref().map_or(0, Prompt::len);
        let whole = before + length;
        let eye = Tensor::<2>::eye(whole, &batch.weights.device()).unsqueeze::<3>();
        let mut rolled = eye.clone().expand([rows, whole, whole]);
        for map in self.attentions(batch) {
            let map = map.narrow(3, self.prefix_tokens(), whole);
            let mixed = (map.mean_dim(1).squeeze_dim::<3>(1) + eye.clone()) * 0.5;
            rolled = mixed.matmul(rolled);
        }
        let rolled = rolled.narrow(1, before, length).narrow(2, before, length);
        let pooling = match self.pooling {
            Pooling::Max => Pooling::Mean,
            other => other,
        };
        pooling.pool(rolled, batch.weights.clone().not_equal_scalar(0.0).float())
    }
}

/// Copies parameters to a device, untracked: by way of the host, since a parameter of a plain device
/// cannot be put on one that differentiates.
struct Onto<'a>(&'a Device);

impl ModuleMapper for Onto<'_> {
    fn map_float<const D: usize>(
        &mut self,
        param: burn::module::Param<Tensor<D>>,
    ) -> burn::module::Param<Tensor<D>> {
        let (id, data) = (param.id, param.val().into_data());
        burn::module::Param::initialized(id, Tensor::from_data(data, self.0))
    }
}
