use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use counterweight_core::ensure;

use super::MaskedLm;
use crate::{Encoded, Error, Result, TextBatch, TextTokenizer};

/// Where the text stands in a template.
const TEXT: &str = "{text}";
/// Where the guessed word stands in a template.
const MASK: &str = "{mask}";

/// A cloze question and the words that stand for each class as its answer: how a masked language
/// model classifies (PET, Schick and Schütze, EACL 2021).
///
/// ```no_run
/// use counterweight_encoder::Verbalizer;
///
/// let question = Verbalizer::new("{text} It was {mask}.")?
///     .class(["terrible", "bad"])
///     .class(["great", "good"]);
/// # Ok::<(), counterweight_encoder::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verbalizer {
    before: String,
    between: String,
    after: String,
    text_first: bool,
    classes: Vec<Vec<String>>,
}

impl Verbalizer {
    /// A template with `{text}` and `{mask}`, once each.
    ///
    /// # Errors
    /// When one is missing or there twice.
    pub fn new(template: &str) -> Result<Self> {
        let once = |what: &str| template.matches(what).count() == 1;
        let (Some(text), Some(mask), true) =
            (template.find(TEXT), template.find(MASK), once(TEXT) && once(MASK))
        else {
            return Err(Error::Unsupported {
                name: "template",
                value: template.to_owned(),
                allowed: "texts with {text} and {mask}, once each",
            });
        };
        let text_first = text < mask;
        // Both are six bytes long.
        let [first, second] = if text_first { [text, mask] } else { [mask, text] };
        Ok(Self {
            before: template[..first].to_owned(),
            between: template[first + TEXT.len()..second].to_owned(),
            after: template[second + TEXT.len()..].to_owned(),
            text_first,
            classes: Vec::new(),
        })
    }

    /// Adds the next class: its words, each one piece of the vocabulary.
    #[must_use]
    pub fn class<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.classes.push(words.into_iter().map(Into::into).collect());
        self
    }

    /// The question about a text. What is too long is cut off the text, never off the template.
    ///
    /// # Errors
    /// When the tokenizer fails or has no mask token, or the template alone is too long.
    pub fn encode(&self, tokenizer: &TextTokenizer, text: &str) -> Result<Encoded> {
        let mask = tokenizer.mask_id()?;
        let token = tokenizer.token(mask).unwrap_or_default();
        let fill = |text: &str| {
            let [first, second] = if self.text_first { [text, &token] } else { [&token, text] };
            format!("{}{first}{}{second}{}", self.before, self.between, self.after)
        };
        // The question, where nothing of it is cut off.
        let question = |text: &str| -> Result<Option<Encoded>> {
            let (encoded, whole) = tokenizer.encode_whole(&fill(text))?;
            let masks = encoded.ids.iter().filter(|&&id| id == mask).count();
            Ok((whole && masks == 1).then_some(encoded))
        };
        // A text may hold a mask token itself; it is not the question's.
        let text = text.replace(&token, " ");
        if let Some(encoded) = question(&text)? {
            return Ok(encoded);
        }
        // The longest beginning of the text, by tokens, with which the question fits.
        let ends: Vec<usize> = tokenizer.ends(&text)?;
        let mut best = question("")?;
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = (low + high).div_ceil(2);
            match question(&text[..ends[middle - 1]])? {
                Some(encoded) => (best, low) = (Some(encoded), middle),
                None => high = middle - 1,
            }
        }
        if let Some(encoded) = best {
            return Ok(encoded);
        }
        Err(Error::Tokenizer {
            reason: format!("the template {:?} is longer than the texts may be", fill(TEXT)),
        })
    }

    /// The pieces of each class's words.
    fn pieces(&self, tokenizer: &TextTokenizer) -> Result<Vec<Vec<u32>>> {
        let classes = self.classes.len();
        ensure("classes of the verbalizer", classes as f64, classes >= 2, "[2, inf)")?;
        let piece = |word: &String| {
            // Byte-level vocabularies write the blank before a word as "Ġ", Unigram's as "▁".
            let forms = [word.clone(), format!("Ġ{word}"), format!("▁{word}")];
            let id = if self.mask_begins() { &forms[..] } else { &forms[1..] };
            let found = id.iter().chain(&forms[..1]).find_map(|form| tokenizer.id(form));
            found.ok_or_else(|| Error::Tokenizer {
                reason: format!("{word:?} of the verbalizer is not one piece of the vocabulary"),
            })
        };
        let class = |words: &Vec<String>| {
            ensure("words of a class", words.len() as f64, !words.is_empty(), "[1, inf)")?;
            words.iter().map(piece).collect()
        };
        self.classes.iter().map(class).collect()
    }

    /// Whether nothing stands before the mask.
    fn mask_begins(&self) -> bool {
        !self.text_first && self.before.is_empty()
    }
}

/// A masked language model as a classifier, without a new head: a class's logit is the mean of its
/// words' logits at the mask. It classifies before it has seen an example, and is trained like
/// any other classifier where there are a few.
#[derive(Module, Debug)]
pub struct PromptClassifier {
    model: MaskedLm,
    #[module(skip)]
    words: Vec<Vec<u32>>,
    #[module(skip)]
    mask: u32,
}

impl PromptClassifier {
    /// Puts a model and a verbaliser together.
    ///
    /// # Errors
    /// When there are fewer than two classes, a class has no word, a word is not one piece of the
    /// vocabulary, or there is no mask token.
    pub fn new(
        model: MaskedLm,
        tokenizer: &TextTokenizer,
        verbalizer: &Verbalizer,
    ) -> Result<Self> {
        Ok(Self { model, words: verbalizer.pieces(tokenizer)?, mask: tokenizer.mask_id()? })
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.words.len()
    }

    /// Logits of questions made by [`Verbalizer::encode`], `[rows, classes]`.
    ///
    /// # Errors
    /// When a row has no mask.
    pub fn forward(&self, rows: &[&Encoded], device: &Device) -> Result<Tensor<2>> {
        let batch = TextBatch::new(rows, device);
        let length = batch.dims()[1];
        let at = |(r, row): (usize, &&Encoded)| {
            let place = row.ids.iter().position(|&id| id == self.mask);
            let missing = || Error::Tokenizer { reason: format!("no mask token in row {r}") };
            Ok(r * length + place.ok_or_else(missing)?)
        };
        let at = rows.iter().enumerate().map(at).collect::<Result<Vec<usize>>>()?;
        let logits = self.model.logits_at(&batch, &at);
        // The mean over each class's words, as a product.
        let vocabulary = self.words.iter().flatten().collect::<std::collections::BTreeSet<_>>();
        let ids: Vec<i32> = vocabulary.iter().map(|&&id| id as i32).collect();
        let classes = self.classes();
        let mut means = vec![0f32; ids.len() * classes];
        for (row, &&id) in vocabulary.iter().enumerate() {
            for (class, words) in self.words.iter().enumerate() {
                let times = words.iter().filter(|&&word| word == id).count();
                means[row * classes + class] = times as f32 / words.len() as f32;
            }
        }
        let means = TensorData::new(means, [ids.len(), classes]);
        let ids = Tensor::from_data(TensorData::from(ids.as_slice()), device);
        Ok(logits.select(1, ids).matmul(Tensor::from_data(means, device)))
    }

    /// The model, after training.
    pub fn into_model(self) -> MaskedLm {
        self.model
    }
}
