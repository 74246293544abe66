//! A trained classifier with everything needed to use it.

use std::path::Path;

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use counterweight_core::{ClassProfile, LabelEncoder};
use counterweight_encoder::{
    Attribution, Encoded, EncoderShape, Explanation, Featurizer, ModelDir, Precision, TextBatch,
    TextClassifier, load_weights, trainable, weights_bytes_at,
};
use counterweight_metrics::{Decision, Predictions};
use ndarray::Array2;

use crate::card::{Evaluation, card};
use crate::data::check_texts;
use crate::{Error, Recipe, Result, TextData, device};

const BATCH: usize = 256;
/// The file that says what the encoder is.
const SHAPE: &str = "encoder.json";
/// The file of the card's numbers.
const EVALUATIONS: &str = "evaluations.json";

/// A classifier, its tokenisation, classes, decision and recipe.
///
/// A model directory holds `model.safetensors`, `encoder.json`, `tokenizer.json`,
/// `labels.json`, `profile.json`, `decision.json`, `evaluations.json` and `recipe.toml`, so that
/// it needs no checkpoint it was fine-tuned from, and a card for people, `README.md`; it is replaced
/// as a whole.
#[derive(Debug, Clone)]
pub struct Model {
    classifier: TextClassifier,
    shape: EncoderShape,
    featurizer: Featurizer,
    labels: LabelEncoder,
    profile: ClassProfile,
    decision: Decision,
    recipe: Recipe,
    evaluations: Vec<Evaluation>,
    device: Device,
}

/// A text's class with its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The class's name.
    pub class: String,
    /// Its adjusted probability.
    pub probability: f64,
}

impl Model {
    pub(crate) fn new(
        classifier: TextClassifier,
        shape: EncoderShape,
        featurizer: Featurizer,
        labels: LabelEncoder,
        profile: ClassProfile,
        recipe: Recipe,
        device: Device,
    ) -> Self {
        Self {
            classifier,
            shape,
            featurizer,
            decision: Decision::argmax(profile.classes()),
            labels,
            profile,
            recipe,
            evaluations: Vec::new(),
            device,
        }
    }

    /// The recipe it was trained by.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The profile of its training data.
    pub fn profile(&self) -> &ClassProfile {
        &self.profile
    }

    /// Its classes.
    pub fn labels(&self) -> &LabelEncoder {
        &self.labels
    }

    /// Its decision rule.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Replaces the decision rule.
    #[must_use]
    pub fn with_decision(mut self, decision: Decision) -> Self {
        self.decision = decision;
        self
    }

    /// Evaluates the model on labelled texts for its card; an evaluation of the same name is
    /// replaced.
    ///
    /// # Errors
    /// As [`raw_probabilities`](Self::raw_probabilities).
    pub fn with_evaluation(mut self, name: &str, data: &TextData) -> Result<Self> {
        let evaluation = Evaluation::new(name, &self.evaluate(data)?, &self.profile);
        self.evaluations.retain(|other| other.name != name);
        self.evaluations.push(evaluation);
        Ok(self)
    }

    /// What its card says of how well it does.
    pub fn evaluations(&self) -> &[Evaluation] {
        &self.evaluations
    }

    /// Probabilities of the network, before the decision, `[rows, classes]`.
    ///
    /// # Errors
    /// For an empty text, or when a tensor cannot be read back.
    pub fn raw_probabilities<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Array2<f64>> {
        check_texts(texts)?;
        let encoded = self.featurizer.encode_all(texts)?;
        probabilities(&self.classifier, &encoded, self.profile.classes(), &self.device)
    }

    /// Adjusted probabilities, `[rows, classes]`.
    ///
    /// # Errors
    /// As [`raw_probabilities`](Self::raw_probabilities).
    pub fn probabilities<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Array2<f64>> {
        Ok(self.decision.apply(&self.raw_probabilities(texts)?)?)
    }

    /// Adjusted predictions on labelled texts.
    ///
    /// # Errors
    /// As [`raw_probabilities`](Self::raw_probabilities).
    pub fn evaluate(&self, data: &TextData) -> Result<Predictions> {
        Ok(Predictions::new(data.labels().to_vec(), self.probabilities(data.texts())?)?)
    }

    /// Raw predictions on texts already encoded.
    pub(crate) fn evaluate_encoded(
        &self,
        labels: &[usize],
        encoded: &[Encoded],
    ) -> Result<Predictions> {
        let classes = self.profile.classes();
        let p = probabilities(&self.classifier, encoded, classes, &self.device)?;
        Ok(Predictions::new(labels.to_vec(), p)?)
    }

    /// Classifies texts.
    ///
    /// # Errors
    /// As [`raw_probabilities`](Self::raw_probabilities).
    pub fn classify<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Vec<Answer>> {
        let p = Predictions::new(vec![0; texts.len()], self.probabilities(texts)?)?;
        let answer = |(row, &id): (usize, &usize)| Answer {
            class: self.labels.name(id).unwrap_or_default().to_owned(),
            probability: p.probabilities()[[row, id]],
        };
        Ok(p.predicted().iter().enumerate().map(answer).collect())
    }

    /// The share of each token of a text in the logit of a class, given by name, or of the class
    /// that [`classify`](Self::classify) answers. For transformers.
    ///
    /// # Errors
    /// For an empty text, an unknown class, too few steps, the n-gram encoder, or when a tensor
    /// cannot be read back.
    pub fn explain(&self, text: &str, class: Option<&str>, by: Attribution) -> Result<Explanation> {
        check_texts(&[text])?;
        let class = match class {
            Some(name) => self.labels.encode([name])?[0],
            None => {
                let p = Predictions::new(vec![0], self.probabilities(&[text])?)?;
                p.predicted()[0]
            }
        };
        let explain = || self.classifier.explain(&self.featurizer, text, class, by, &self.device);
        device::guarded(std::slice::from_ref(&self.device), || Ok(explain()?))
    }

    /// Saves the model directory; on any error `dir` is as it was.
    ///
    /// # Errors
    /// As [`save_at`](Self::save_at) with f32.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        self.save_at(Precision::F32, dir)
    }

    /// Saves the model directory with weights of another precision; a loaded model computes in f32
    /// whatever it is.
    ///
    /// # Errors
    /// When a file cannot be written, a weight is not finite or beyond f16, or the weights cannot
    /// be read back.
    pub fn save_at(&self, precision: Precision, dir: impl AsRef<Path>) -> Result<()> {
        let files = ModelDir::create(dir.as_ref())?;
        let read = || Ok(weights_bytes_at(&self.classifier, precision)?);
        let bytes = device::guarded(std::slice::from_ref(&self.device), read)?;
        files.write(ModelDir::WEIGHTS, &bytes)?;
        let weights = trainable(&self.classifier).1;
        let (recipe, labels) = (&self.recipe, &self.labels);
        let card = card(recipe, labels, &self.profile, weights, &self.evaluations)?;
        files.write("README.md", card.as_bytes())?;
        files.write_json(EVALUATIONS, &self.evaluations)?;
        files.write_json(SHAPE, &self.shape)?;
        files.write_json(ModelDir::FEATURIZER, &self.featurizer)?;
        files.write_json("labels.json", &self.labels)?;
        files.write_json("profile.json", &self.profile)?;
        files.write_json("decision.json", &self.decision)?;
        files.write("recipe.toml", self.recipe.to_toml()?.as_bytes())?;
        Ok(files.commit()?)
    }

    /// Loads a model directory onto a device.
    ///
    /// # Errors
    /// When a file is missing, cannot be parsed, or does not fit the others.
    pub fn load(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).map_err(|source| Error::Io { path, source })
        };
        let recipe = Recipe::from_toml(&String::from_utf8_lossy(&read("recipe.toml")?))?;
        let labels: LabelEncoder = ModelDir::read_json(dir, "labels.json")?;
        let profile: ClassProfile = ModelDir::read_json(dir, "profile.json")?;
        let decision: Decision = ModelDir::read_json(dir, "decision.json")?;
        let evaluations = match dir.join(EVALUATIONS).exists() {
            true => ModelDir::read_json(dir, EVALUATIONS)?,
            false => Vec::new(),
        };
        let featurizer = ModelDir::read_featurizer(dir)?;
        for (what, got) in
            [("labels.json", labels.len()), ("decision.json", decision.offsets().len())]
        {
            counterweight_core::ensure_length(what, got, profile.classes())?;
        }
        let plain = device.clone().without_autodiff();
        let shape: EncoderShape = ModelDir::read_json(dir, SHAPE)?;
        let classifier = TextClassifier::blank(&shape, &recipe.head(profile.classes()), &plain)?;
        let path = dir.join(ModelDir::WEIGHTS);
        let classifier = load_weights(classifier, read(ModelDir::WEIGHTS)?, &path)?;
        Ok(Self {
            classifier: classifier.valid(),
            shape,
            featurizer,
            labels,
            profile,
            decision,
            recipe,
            evaluations,
            device: plain,
        })
    }
}

/// Softmax probabilities of encoded texts, in their order; batches are cut by length.
pub(crate) fn probabilities(
    classifier: &TextClassifier,
    encoded: &[Encoded],
    classes: usize,
    device: &Device,
) -> Result<Array2<f64>> {
    let mut order: Vec<usize> = (0..encoded.len()).collect();
    order.sort_by_key(|&row| encoded[row].len());
    let mut out = Array2::zeros((encoded.len(), classes));
    for rows in order.chunks(BATCH) {
        let texts: Vec<&Encoded> = rows.iter().map(|&row| &encoded[row]).collect();
        let logits = classifier.forward(&TextBatch::new(&texts, device));
        let p = read_probabilities(logits)?;
        for (&row, p) in rows.iter().zip(p.rows()) {
            out.row_mut(row).assign(&p);
        }
    }
    Ok(out)
}

/// Softmax probabilities of logits, `[rows, classes]`.
pub(crate) fn read_probabilities(logits: Tensor<2>) -> Result<Array2<f64>> {
    let shape = logits.dims();
    let unread = |reason: String| Error::Device { reason };
    let values: Vec<f64> =
        softmax(logits, 1).try_into_vec_as().map_err(|e| unread(e.to_string()))?;
    Array2::from_shape_vec(shape, values).map_err(|e| unread(e.to_string()))
}
