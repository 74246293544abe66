//! A masked language model as a source of words for augmentation.

use std::ops::Range;

use burn::tensor::Device;
use counterweight_augment::Substitutes;
use counterweight_encoder::{MaskedLm, TextTokenizer};

/// Words that a masked language model puts in the place of another, seeing the whole text
/// (Kobayashi, NAACL 2018; Wu et al., ICCS 2019).
///
/// ```no_run
/// use std::sync::Arc;
/// use counterweight::prelude::*;
///
/// let device = Device::flex();
/// let model = Checkpoint::open("bert-base-uncased")?.load_masked_lm(&device)?;
/// let tokenizer = PretrainedConfig::new("bert-base-uncased").tokenizer()?;
/// let words = MaskedSubstitutes::new(model, tokenizer, &device);
/// let augmenter = Substitution::new().with_rate(0.2).init(Arc::new(words))?;
/// println!("{}", augmenter.augment("where is my order", 1.0, 7)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MaskedSubstitutes {
    model: MaskedLm,
    tokenizer: TextTokenizer,
    device: Device,
    most: usize,
}

impl MaskedSubstitutes {
    /// The ten likeliest pieces that are whole words.
    pub fn new(model: MaskedLm, tokenizer: TextTokenizer, device: &Device) -> Self {
        Self { model, tokenizer, device: device.clone().without_autodiff(), most: 10 }
    }

    /// Sets how many pieces are looked at; fewer are likelier words.
    #[must_use]
    pub fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    fn fill(&self, text: &str) -> crate::Result<Vec<String>> {
        let guesses = self.model.fill(&self.tokenizer, text, self.most, &self.device)?;
        let words = guesses.into_iter().take(1).flatten().map(|guess| {
            // The mark of a new word of byte-level and unigram vocabularies.
            guess.token.trim_start_matches(['Ġ', '▁']).to_owned()
        });
        Ok(words.filter(|w| !w.is_empty() && w.chars().all(char::is_alphanumeric)).collect())
    }
}

impl Substitutes for MaskedSubstitutes {
    fn candidates(
        &self,
        text: &str,
        word: Range<usize>,
    ) -> counterweight_augment::Result<Vec<String>> {
        let failed = |e: crate::Error| counterweight_augment::Error::External {
            step: "masked language model",
            reason: e.to_string(),
        };
        let mask = self.tokenizer.mask_id().map_err(|e| failed(e.into()))?;
        let mask = self.tokenizer.token(mask).unwrap_or_default();
        let (Some(before), Some(after)) = (text.get(..word.start), text.get(word.end..)) else {
            return Ok(Vec::new());
        };
        self.fill(&format!("{before}{mask}{after}")).map_err(failed)
    }
}
