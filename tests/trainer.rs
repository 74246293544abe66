//! The trainer: PyTorch's optimisers (`fixtures/trainer/generate.py`), other heads than the
//! recipes', contrastive fine-tuning, frozen encoders.

mod common;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::tensor::{Int, TensorData};
use counterweight::core::rng;
use counterweight::encoder::{
    ClassifierConfig, DualEncoder, Encoded, Featurizer, Freeze, HeadKind, Schedule, Tagged,
    TextBatch, TextClassifier, TextEncoder, TextTokenizer, TokenClassifier,
};
use counterweight::losses::{IgnoreIndexConfig, InBatchSoftmaxConfig};
use counterweight::prelude::*;
use counterweight::{ContrastiveConfig, Result};
use rand::RngExt;
use rand::seq::SliceRandom;
use safetensors::SafeTensors;

/// Held by tests that train: a device has one stream of random numbers, dropout's, which training
/// begins anew.
static DRAWS: Mutex<()> = Mutex::new(());

fn drawing() -> MutexGuard<'static, ()> {
    DRAWS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn encoder_fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/crates/encoder/tests/fixtures"))
}

struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    fn read(dir: &str) -> Self {
        let path = encoder_fixtures().join(dir).join("expected.safetensors");
        Self { bytes: std::fs::read(path).unwrap() }
    }

    fn words(&self, name: &str) -> Vec<[u8; 4]> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        file.tensor(name).unwrap().data().as_chunks().0.to_vec()
    }

    fn ints(&self, name: &str) -> Vec<i32> {
        self.words(name).into_iter().map(i32::from_le_bytes).collect()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_le_bytes).collect()
    }

    /// Three texts of seven tokens, some of them padding.
    fn batch(&self, rows: &[usize], device: &Device) -> TextBatch {
        let of = |row: usize| row % 3 * 7..row % 3 * 7 + 7;
        let (ids, mask) = (self.ints("ids"), self.floats("mask"));
        let ids: Vec<i32> = rows.iter().flat_map(|&row| ids[of(row)].to_vec()).collect();
        let mask: Vec<f32> = rows.iter().flat_map(|&row| mask[of(row)].to_vec()).collect();
        TextBatch {
            ids: Tensor::from_data(TensorData::new(ids, [rows.len(), 7]), device),
            weights: Tensor::from_data(TensorData::new(mask, [rows.len(), 7]), device),
            types: None,
        }
    }
}

/// PyTorch's batch, in one part or in several.
struct Steps {
    fixture: Fixture,
    parts: Vec<Vec<usize>>,
    loss: Box<dyn Loss>,
    score: f64,
    device: Device,
}

impl Task for Steps {
    type Model = TextClassifier;

    fn batches(&mut self, _epoch: usize) -> Vec<Vec<usize>> {
        self.parts.clone()
    }

    fn batches_per_epoch(&self) -> usize {
        self.parts.len()
    }

    fn loss(&mut self, model: &TextClassifier, rows: &[usize], _seed: u64) -> Result<Tensor<1>> {
        let labels: Vec<usize> = rows.iter().map(|&row| [2, 0, 1, 0, 1, 2][row]).collect();
        let targets = Targets::from_ids(&labels, &self.device);
        let logits = model.forward(&self.fixture.batch(rows, &self.device));
        Ok(self.loss.forward(logits, &targets, Reduction::Mean))
    }

    fn score(&mut self, _model: &TextClassifier) -> Result<f64> {
        Ok(self.score)
    }
}

#[test]
fn every_optimizer_goes_where_pytorchs_goes() {
    let _alone = drawing();
    let theirs: std::collections::BTreeMap<String, Vec<f64>> =
        serde_json::from_str(include_str!("fixtures/trainer/losses.json")).unwrap();
    let device = Device::flex().autodiff();
    let profile = ClassProfile::from_counts([1, 1, 1]).unwrap();
    let adamw = OptimizerConfig {
        kind: OptimizerKind::Adamw,
        learning_rate: 1e-3,
        weight_decay: 0.01,
        clip_norm: 1e6,
        schedule: Schedule { warmup: 0.0, cosine: false },
        ..OptimizerConfig::default()
    };
    let sgd = OptimizerConfig {
        kind: OptimizerKind::Sgd,
        learning_rate: 0.05,
        clip_norm: 0.5,
        clip: ClipNorm::Model,
        ..adamw
    };
    let adagrad = OptimizerConfig { kind: OptimizerKind::Adagrad, learning_rate: 5e-3, ..adamw };
    let headed =
        OptimizerConfig { learning_rate: 1e-4, layer_decay: 0.9, head_factor: 10.0, ..adamw };
    let lbfgs = OptimizerConfig {
        kind: OptimizerKind::Lbfgs,
        learning_rate: 1.0,
        weight_decay: 0.0,
        ..adamw
    };
    let whole = vec![vec![0, 1, 2]];
    let runs = [
        ("adamw", adamw, whole.clone()),
        (
            "adamw_layers",
            OptimizerConfig { learning_rate: 2e-3, layer_decay: 0.6, ..adamw },
            whole.clone(),
        ),
        ("adamw_head", headed, whole.clone()),
        ("adam", OptimizerConfig { kind: OptimizerKind::Adam, ..adamw }, whole.clone()),
        ("adagrad", adagrad, whole.clone()),
        ("sgd_clipped", sgd, whole.clone()),
        ("sgd_each_clipped", OptimizerConfig { clip: ClipNorm::Tensor, ..sgd }, whole),
        ("accumulated", OptimizerConfig { accumulate: 2, ..adamw }, vec![vec![0, 2], vec![1]]),
        ("lbfgs", lbfgs, vec![(0..6).collect()]),
    ];
    assert_eq!(runs.len(), theirs.len());
    for (name, optimizer, parts) in runs {
        let checkpoint = Checkpoint::open(encoder_fixtures().join("training")).unwrap();
        let mut model = checkpoint.load_classifier(0.0, &device).unwrap();
        if name == "lbfgs" {
            model = model.with_frozen_encoder();
        }
        let mut task = Steps {
            fixture: Fixture::read("training"),
            parts,
            loss: CrossEntropyConfig::new()
                .init(&profile, &device)
                .map(|l| Box::new(l) as _)
                .unwrap(),
            score: 0.0,
            device: device.clone(),
        };
        let trainer = Trainer::new(optimizer).with_epochs(12).with_patience(12);
        let fitted = trainer.fit(&mut task, model, &device, &TrainOptions::new()).unwrap();
        let ours: Vec<f64> = fitted.history.iter().map(|e| e.loss).collect();
        for (step, (a, b)) in ours.iter().zip(&theirs[name]).enumerate() {
            assert!((a - b).abs() < 1e-3, "{name}, step {step}: {a}, but PyTorch has {b}");
        }
        assert_eq!(ours.len(), 12);
    }
}

#[test]
fn what_an_optimizer_cannot_do_is_refused() {
    let _alone = drawing();
    let bad = [
        ("accumulate = 0", "accumulate"),
        ("layer_decay = 0.0", "layer_decay"),
        ("layer_decay = 1.5", "layer_decay"),
        ("head_factor = 0.0", "head_factor"),
        ("kind = \"lbfgs\"", "weight_decay"),
        ("kind = \"lbfgs\"\nweight_decay = 0.0\naccumulate = 2", "accumulate"),
        ("clip = \"everything\"", "everything"),
    ];
    for (text, field) in bad {
        let error = Recipe::from_toml(&format!("[optimizer]\n{text}")).unwrap_err();
        assert!(error.to_string().contains(field), "{text}: {error}");
    }
    for text in [
        "contrastive = { pairs = 0 }",
        "contrastive = { learning_rate = -1.0 }",
        "head = { kind = \"cosine\", scale = 0.0 }",
        "contrastive = {}\nencoder = { kind = \"pretrained\", path = \"x\", freeze = \"all\" }",
        "loss = { kind = \"arc_face\" }",
    ] {
        assert!(Recipe::from_toml(text).is_err(), "{text}");
    }
    let arc = "loss = { kind = \"arc_face\" }\nhead = { kind = \"cosine\", scale = 1.0 }";
    assert!(Recipe::from_toml(arc).is_ok());
}

#[test]
fn a_task_without_batches_or_with_nan_is_refused() {
    let _alone = drawing();
    let device = Device::flex().autodiff();
    let profile = ClassProfile::from_counts([1, 1, 1]).unwrap();
    let run = |parts: Vec<Vec<usize>>, score: f64| {
        let checkpoint = Checkpoint::open(encoder_fixtures().join("training")).unwrap();
        let model = checkpoint.load_classifier(0.0, &device).unwrap();
        let loss = CrossEntropyConfig::new().init(&profile, &device).unwrap();
        let mut task = Steps {
            fixture: Fixture::read("training"),
            parts,
            loss: Box::new(loss),
            score,
            device: device.clone(),
        };
        let trainer = Trainer::new(OptimizerConfig::default()).with_epochs(1);
        trainer.fit(&mut task, model, &device, &TrainOptions::new()).map(|_| ())
    };
    assert!(run(vec![vec![0, 1]], 0.5).is_ok());
    assert!(run(vec![], 0.5).unwrap_err().to_string().contains("batches_per_epoch"));
    assert!(run(vec![vec![0], vec![]], 0.5).unwrap_err().to_string().contains("batches"));
    assert!(run(vec![vec![0, 1]], f64::NAN).unwrap_err().to_string().contains("score"));
}

#[test]
fn ignored_tokens_cost_nothing_as_in_transformers() {
    let _alone = drawing();
    let device = Device::flex();
    let profile = ClassProfile::from_counts([1, 1, 1]).unwrap();
    for family in ["bert-tokens", "roberta-tokens"] {
        let dir = encoder_fixtures().join("heads").join(family);
        let model = Checkpoint::open(&dir).unwrap().load_token_classifier(0.0, &device).unwrap();
        let fixture = Fixture::read(&format!("heads/{family}"));
        let labels = fixture.ints("labels");
        assert!(labels.contains(&(TokenClassifier::IGNORED as i32)));
        let labels = Tensor::<1, Int>::from_data(TensorData::from(labels.as_slice()), &device);
        let loss =
            IgnoreIndexConfig::new(CrossEntropyConfig::new()).init(&profile, &device).unwrap();
        let logits = model.flat(&fixture.batch(&[0, 1, 2], &device));
        let loss = loss.forward(logits, &Targets::Ids(labels), Reduction::Mean);
        let (ours, theirs) = (loss.into_scalar::<f32>(), fixture.floats("loss")[0]);
        assert!((ours - theirs).abs() < 1e-4, "{family}: {ours} and {theirs}");
    }
}

/// Sentences in which what stands after "to" or "from" is a place.
struct Places {
    rows: Vec<(Tagged, Vec<usize>)>,
    loss: Box<dyn Loss>,
    device: Device,
}

impl Places {
    fn tagged(tokenizer: &TextTokenizer, seed: u64, count: usize) -> Vec<(Tagged, Vec<usize>)> {
        let mut rng = rng(seed);
        let mut pick = |of: &[&'static str]| of[rng.random_range(0..of.len())];
        let names = ["paris", "berlin", "rome", "oslo"];
        let sentence = |_| {
            let words =
                [pick(&["send", "ship", "paris"]), "it", pick(&["from", "to", "at"]), pick(&names)];
            let labels = (0..4).map(|i| usize::from(i == 3 && words[2] != "at")).collect();
            (tokenizer.encode_words(&words).unwrap(), labels)
        };
        (0..count).map(sentence).collect()
    }
}

impl Task for Places {
    type Model = TokenClassifier;

    fn batches(&mut self, epoch: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.shuffle(&mut rng(epoch as u64));
        order.chunks(16).map(<[usize]>::to_vec).collect()
    }

    fn batches_per_epoch(&self) -> usize {
        self.rows.len().div_ceil(16)
    }

    fn loss(&mut self, model: &TokenClassifier, rows: &[usize], _seed: u64) -> Result<Tensor<1>> {
        let (texts, labels): (Vec<&Tagged>, Vec<&[usize]>) =
            rows.iter().map(|&row| (&self.rows[row].0, self.rows[row].1.as_slice())).unzip();
        let targets = TokenClassifier::targets(&texts, &labels, &self.device)?;
        let logits = model.flat(&TokenClassifier::batch(&texts, &self.device));
        Ok(self.loss.forward(logits, &Targets::Ids(targets), Reduction::Mean))
    }

    fn score(&mut self, model: &TokenClassifier) -> Result<f64> {
        let rows: Vec<&Tagged> = self.rows.iter().map(|row| &row.0).collect();
        let answers = model.predict(&rows, &self.device)?;
        let right = answers.iter().zip(&self.rows).filter(|(got, row)| **got == row.1).count();
        Ok(right as f64 / self.rows.len() as f64)
    }
}

#[test]
fn a_tagger_learns_from_context() {
    let _alone = drawing();
    let device = Device::flex().autodiff();
    // Often enough for each word to be a piece.
    let corpus = ["send ship it from to at paris berlin rome oslo"; 4];
    let tokenizer = TextTokenizer::train(&corpus, 80, 12).unwrap();
    let config = TransformerConfig {
        vocab_size: tokenizer.vocabulary(),
        hidden_size: 16,
        intermediate_size: 32,
        num_attention_heads: 2,
        max_position_embeddings: 12,
        ..TransformerConfig::default()
    };
    let encoder = seeded(config.init(&device).unwrap(), 0.1, 1);
    let model = TokenClassifier::new(encoder, &ClassifierConfig::new(2), 7, &device).unwrap();
    let profile = ClassProfile::from_counts([5, 1]).unwrap();
    let loss = IgnoreIndexConfig::new(LogitAdjustedConfig::new()).init(&profile, &device).unwrap();
    let mut task = Places {
        rows: Places::tagged(&tokenizer, 1, 320),
        loss: Box::new(loss),
        device: device.clone(),
    };
    let optimizer = OptimizerConfig {
        kind: OptimizerKind::Adamw,
        learning_rate: 1e-2,
        ..OptimizerConfig::default()
    };
    let trainer = Trainer::new(optimizer).with_epochs(12).with_patience(12);
    let fitted = trainer.fit(&mut task, model, &device, &TrainOptions::new()).unwrap();
    task.rows = Places::tagged(&tokenizer, 2, 60);
    let unseen = task.score(&fitted.model).unwrap();
    assert!(unseen > 0.95, "{unseen}: {:?}", fitted.history);
}

/// Questions of one intent as queries and items of a dual encoder.
struct Towers<'a> {
    texts: &'a [Encoded],
    labels: &'a [usize],
    loss: Box<dyn Loss>,
    device: Device,
}

impl Towers<'_> {
    fn batch(&self, rows: impl Iterator<Item = usize>) -> TextBatch {
        TextBatch::new(&rows.map(|row| &self.texts[row]).collect::<Vec<_>>(), &self.device)
    }

    /// The next text of the same intent.
    fn partner(&self, row: usize) -> usize {
        let count = self.labels.len();
        let mut others = (1..count).map(|by| (row + by) % count);
        others.find(|&other| self.labels[other] == self.labels[row]).unwrap_or(row)
    }
}

impl Task for Towers<'_> {
    type Model = DualEncoder;

    fn batches(&mut self, epoch: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.shuffle(&mut rng(epoch as u64));
        order.chunks(32).map(<[usize]>::to_vec).collect()
    }

    fn batches_per_epoch(&self) -> usize {
        self.texts.len().div_ceil(32)
    }

    fn loss(&mut self, model: &DualEncoder, rows: &[usize], _seed: u64) -> Result<Tensor<1>> {
        let items = self.batch(rows.iter().map(|&row| self.partner(row)));
        let scores = model.scores(&self.batch(rows.iter().copied()), &items);
        let classes: Vec<usize> = rows.iter().map(|&row| self.labels[row]).collect();
        let targets = Targets::from_ids(&classes, &self.device);
        Ok(self.loss.forward(scores, &targets, Reduction::Mean))
    }

    /// How much nearer texts of one intent are than others.
    fn score(&mut self, model: &DualEncoder) -> Result<f64> {
        let all = self.batch(0..self.texts.len());
        let scores: Vec<f32> = model.scores(&all, &all).into_data().try_to_vec().unwrap();
        let count = self.labels.len();
        let (mut sums, mut counts) = ([0.0; 2], [0.0; 2]);
        for (at, score) in scores.iter().enumerate() {
            let (i, j) = (at / count, at % count);
            if i != j {
                let same = usize::from(self.labels[i] == self.labels[j]);
                sums[same] += f64::from(*score);
                counts[same] += 1.0;
            }
        }
        Ok(sums[1] / counts[1] - sums[0] / counts[0])
    }
}

#[test]
fn towers_learn_which_texts_belong_together() {
    let _alone = drawing();
    let splits = common::intents();
    let device = Device::flex().autodiff();
    let config = EncoderConfig::Ngram(NgramConfig::new().with_min_count(1).with_dim(16));
    let features = config.fit_featurizer(splits.train.texts()).unwrap();
    let texts = features.encode_all(splits.train.texts()).unwrap();
    let loss = InBatchSoftmaxConfig::new().with_temperature(0.1);
    let mut task = Towers {
        texts: &texts,
        labels: splits.train.labels(),
        loss: Box::new(loss.init(&splits.profile, &device).unwrap()),
        device: device.clone(),
    };
    let optimizer = OptimizerConfig {
        kind: OptimizerKind::Adamw,
        learning_rate: 1e-2,
        ..OptimizerConfig::default()
    };
    let model = DualEncoder::shared(config.init(&features, 7, &device).unwrap());
    let before = task.score(&model.valid()).unwrap();
    let trainer = Trainer::new(optimizer).with_epochs(4);
    let fitted = trainer.fit(&mut task, model, &device, &TrainOptions::new()).unwrap();
    let after = fitted.history[fitted.best_epoch].dev;
    assert!(after > before + 0.3, "{before} and {after}");
}

#[test]
fn pairs_of_texts_bring_classes_together() {
    let _alone = drawing();
    let splits = common::intents();
    let device = Device::flex();
    let plain = Recipe::from_toml(
        r#"
        epochs = 3
        encoder = { kind = "ngram", dim = 16, min_count = 1 }
        optimizer = { kind = "lbfgs", learning_rate = 1.0, weight_decay = 0.0, schedule = { warmup = 0.0 } }
        batch_size = 512
        "#,
    )
    .unwrap();
    let pairs = ContrastiveConfig { pairs: 3, learning_rate: 1e-2, ..Default::default() };
    let tuned = Recipe { contrastive: Some(pairs), ..plain.clone() };
    let trained = train(&tuned, &splits, &device, &TrainOptions::new()).unwrap();
    // The head alone was trained afterwards.
    let head = 16 * splits.profile.classes() + splits.profile.classes();
    assert_eq!(trained.weights.0, head);
    let accuracy = |model: &Model| {
        let tally = model.evaluate(&splits.test).unwrap().tally();
        tally.metric(Metric::BalancedAccuracy, &splits.profile).unwrap()
    };
    // A frozen encoder of random weights is what it is compared with.
    let after = accuracy(&trained.model);
    assert!(after > 0.7, "{after}");
    let again = train(&tuned, &splits, &device, &TrainOptions::new()).unwrap();
    assert_eq!(again.history, trained.history);
}

#[test]
fn an_imprinted_head_begins_as_the_nearest_class_mean() {
    let _alone = drawing();
    let splits = common::intents();
    let device = Device::flex();
    let root = tempfile::tempdir().unwrap();
    for (head, freeze) in [
        (HeadKind::Linear, Freeze::All),
        (HeadKind::Cosine { scale: 16.0 }, Freeze::All),
        (HeadKind::Cosine { scale: 16.0 }, Freeze::None),
    ] {
        let mut recipe = common::pretrained(root.path(), &splits);
        (recipe.head, recipe.imprint, recipe.dropout, recipe.epochs) = (head, true, 0.0, 1);
        if let EncoderConfig::Pretrained(config) = &mut recipe.encoder {
            config.freeze = freeze;
        }
        // Steps too small to be seen.
        recipe.optimizer.learning_rate = 1e-12;
        let trained = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();

        let EncoderConfig::Pretrained(config) = &recipe.encoder else { unreachable!() };
        let encoder = TextEncoder::Transformer(config.load(0, &device).unwrap().without_dropout());
        let classes = splits.profile.classes();
        let classifier = ClassifierConfig::new(classes).with_head(head);
        let model = TextClassifier::around(encoder, &classifier, &device).unwrap();
        let features = Featurizer::Tokens(config.tokenizer().unwrap());
        let texts = features.encode_all(splits.train.texts()).unwrap();
        let means = model.class_means(&texts, splits.train.labels(), &device).unwrap();
        let model = model.with_class_vectors(&means).unwrap();
        let texts = features.encode_all(splits.test.texts()).unwrap();
        let batch = TextBatch::new(&texts.iter().collect::<Vec<_>>(), &device);
        let logits: Vec<f32> = model.forward(&batch).try_into_vec_as().unwrap();
        let found = trained.model.raw_probabilities(splits.test.texts()).unwrap();
        for (row, logits) in found.rows().into_iter().zip(logits.chunks(classes)) {
            let largest = logits.iter().copied().fold(f32::MIN, f32::max);
            let weights: Vec<f64> = logits.iter().map(|l| f64::from(l - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for (p, w) in row.iter().zip(weights) {
                assert!((p - w / sum).abs() < 1e-3, "{head:?}: {p} and {}", w / sum);
            }
        }
    }
}

#[test]
fn a_class_without_texts_has_no_mean() {
    let mut splits = common::intents();
    let rows: Vec<usize> =
        (0..splits.train.len()).filter(|&row| splits.train.labels()[row] != 2).collect();
    splits.train = splits.train.select(&rows);
    splits.profile = splits.train.profile(SegmentRule::default()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut recipe = common::pretrained(root.path(), &splits);
    recipe.imprint = true;
    let error = train(&recipe, &splits, &Device::flex(), &TrainOptions::new()).unwrap_err();
    let name = splits.train.encoder().name(2).unwrap();
    assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
}

#[test]
fn a_frozen_encoder_is_computed_once_to_the_same_result() {
    let _alone = drawing();
    let splits = common::intents();
    let device = Device::flex();
    let root = tempfile::tempdir().unwrap();
    let mut recipe = common::pretrained(root.path(), &splits);
    recipe.dropout = 0.0;
    recipe.head = HeadKind::Cosine { scale: 8.0 };
    recipe.augment = AugmentConfig::Mixup(Mixup::default());
    if let EncoderConfig::Pretrained(config) = &mut recipe.encoder {
        (config.freeze, config.dropout) = (Freeze::All, Some(0.0));
    }
    let kept = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
    // Several devices, none of them asked.
    let options = TrainOptions::new().with_devices([device.clone()]);
    let shared = train(&recipe, &splits, &device, &options).unwrap();
    assert_eq!(kept.history, shared.history);
    // No bias in a cosine head.
    assert_eq!(kept.weights.0, 16 * splits.profile.classes());

    // Dropping tokens, at a rate at which none is dropped, computes them each time.
    recipe.augment = toml::from_str("kind = \"token_dropout\"\nrate = 0.0").unwrap();
    let each = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
    recipe.augment = AugmentConfig::None;
    let once = train(&recipe, &splits, &device, &TrainOptions::new()).unwrap();
    for (a, b) in each.history.iter().zip(&once.history) {
        assert!((a.loss - b.loss).abs() < 1e-4 && (a.dev - b.dev).abs() < 0.05, "{a:?} {b:?}");
    }

    let dir = root.path().join("model");
    once.model.save(&dir).unwrap();
    let loaded = Model::load(&dir, &device).unwrap();
    let p = |model: &Model| model.probabilities(splits.test.texts()).unwrap();
    assert_eq!(p(&loaded), p(&once.model));
}
