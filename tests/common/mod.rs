//! A small imbalanced corpus from the bundled intents, and what tests of training share.

// Each test binary uses a part of it.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use counterweight::encoder::{TextTokenizer, WeightType, save_checkpoint};
use counterweight::prelude::*;

/// Eight intents of the bundled CLINC150, cut to a long tail, split by seed 7.
pub(crate) fn intents() -> TextSplits {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/clinc150/train.csv.gz");
    let all = TextReader::new(path, "intent").text("text").read().unwrap();
    let kept = [
        ("balance", 90),
        ("transfer", 70),
        ("bill_due", 50),
        ("weather", 35),
        ("timezone", 25),
        ("translate", 15),
        ("calories", 12),
        ("insurance", 10),
    ];
    let (mut texts, mut names) = (Vec::new(), Vec::new());
    for (name, most) in kept {
        let id = all.encoder().id(name).unwrap();
        let rows = (0..all.len()).filter(|&r| all.labels()[r] == id).take(most);
        for row in rows {
            texts.push(all.texts()[row].clone());
            names.push(name);
        }
    }
    let data = TextData::new(texts, &names).unwrap();
    let duplicates = data.duplicates(0.8);
    data.split([0.6, 0.2, 0.2], 7, &duplicates, SegmentRule::default()).unwrap()
}

/// A recipe small enough for tests.
// Not every test binary uses all of these.
pub(crate) fn small(kind: &str) -> Recipe {
    let text = match kind {
        "ngram" => {
            r#"
            epochs = 4
            batch_size = 16
            encoder = { kind = "ngram", dim = 8, min_count = 1 }
            loss = { kind = "logit_adjusted", tau = 0.5 }
            sampler = { kind = "square_root" }
            augment = { kind = "mixup" }
            "#
        }
        _ => {
            r#"
            epochs = 3
            batch_size = 16
            dropout = 0.1
            encoder = { kind = "transformer", vocab_size = 300, hidden_size = 16, intermediate_size = 32, num_hidden_layers = 1, max_position_embeddings = 24, num_attention_heads = 2 }
            optimizer = { kind = "adamw", learning_rate = 5e-3 }
            augment = { kind = "token_dropout" }
            loss = { kind = "deferred", epoch = 2, first = { kind = "cross_entropy" }, then = { kind = "focal", gamma = 1.0 } }
            "#
        }
    };
    Recipe::from_toml(text).unwrap()
}

/// Writes a checkpoint of a small model that nobody trained, and the recipe to fine-tune it.
// See above.
pub(crate) fn pretrained(dir: &Path, splits: &TextSplits) -> Recipe {
    let tokenizer = TextTokenizer::train(splits.train.texts(), 300, 24).unwrap();
    let config = TransformerConfig {
        vocab_size: tokenizer.vocabulary(),
        hidden_size: 16,
        intermediate_size: 32,
        num_attention_heads: 2,
        max_position_embeddings: 24,
        ..TransformerConfig::default()
    };
    let model = seeded(config.init(&Device::flex()).unwrap(), 0.05, 1);
    save_checkpoint(&model, &config, WeightType::F32, dir).unwrap();
    std::fs::write(dir.join("tokenizer.json"), tokenizer.to_json().unwrap()).unwrap();
    let mut recipe = Recipe::pretrained(PretrainedConfig::new(dir));
    recipe.epochs = 3;
    (recipe.optimizer.learning_rate, recipe.optimizer.head_factor) = (1e-2, 1.0);
    recipe
}

/// Sets the flag at the n-th report.
pub(crate) struct StopAt {
    left: AtomicU64,
    flag: Arc<AtomicBool>,
}

impl StopAt {
    pub(crate) fn new(report: u64, flag: Arc<AtomicBool>) -> Self {
        Self { left: AtomicU64::new(report), flag }
    }
}

impl Progress for StopAt {
    fn start(&self, _stage: &str, _total: u64) {}

    fn update(&self, _done: u64, _message: &str) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    fn finish(&self, _message: &str) {}
}
