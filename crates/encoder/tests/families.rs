//! Every family against transformers, and files that are not what they should be
//! (`fixtures/generate.py`).

mod common;

use burn::tensor::{Device, Tensor};
use common::{Expected, fixtures, gap, values};
use counterweight_encoder::{
    Checkpoint, Encoder, Error, Pooling, TextBatch, Transformer, TransformerConfig, WeightType,
    save_checkpoint,
};

const FAMILIES: [&str; 6] = ["bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "gpt2"];

fn dir(family: &str) -> std::path::PathBuf {
    fixtures().join("families").join(family)
}

fn open(family: &str) -> Checkpoint {
    Checkpoint::open(dir(family)).unwrap()
}

fn expected(family: &str) -> Expected {
    Expected::read(dir(family).join("expected.safetensors"))
}

/// Largest difference of the hidden states from transformers'.
fn hidden_gap(model: &Transformer, e: &Expected) -> f32 {
    let batch = e.batch(false, &Device::flex());
    gap(&values(model.forward(&batch)), &e.floats("hidden"), &e.floats("mask"))
}

#[test]
fn hidden_states_are_those_of_transformers() {
    let device = Device::flex();
    for family in FAMILIES {
        let (checkpoint, e) = (open(family), expected(family));
        let model = checkpoint.load(&device).unwrap();
        let difference = hidden_gap(&model, &e);
        assert!(difference < 2e-5, "{family}: hidden states differ by {difference}");
        if e.has("pooled") {
            let pooled = values(model.encode(&e.batch(false, &device)));
            let n = e.shape("pooled")[0];
            let difference = gap(&pooled, &e.floats("pooled"), &vec![1.0; n]);
            assert!(difference < 2e-5, "{family}: pooled vectors differ by {difference}");
        }
        if e.has("typed") {
            let typed = values(model.forward(&e.batch(true, &device)));
            let difference = gap(&typed, &e.floats("typed"), &e.floats("mask"));
            assert!(difference < 2e-5, "{family}: with token types {difference}");
        }
    }
}

#[test]
fn what_is_saved_is_what_was_read() {
    let device = Device::flex();
    for family in FAMILIES {
        let checkpoint = open(family);
        let model = checkpoint.load(&device).unwrap();
        let root = tempfile::tempdir().unwrap();
        for (weights, tolerance) in
            [(WeightType::F32, 2e-5), (WeightType::F16, 2e-2), (WeightType::Bf16, 0.2)]
        {
            save_checkpoint(&model, checkpoint.config(), weights, root.path()).unwrap();
            let again = Checkpoint::open(root.path()).unwrap();
            let e = expected(family);
            let difference = hidden_gap(&again.load(&device).unwrap(), &e);
            assert!(difference < tolerance, "{family} {weights:?}: {difference}");
            if weights != WeightType::F32 {
                continue;
            }
            assert_eq!(again.config(), checkpoint.config());
            // The file has transformers' names, shapes and numbers, bit for bit.
            let ours = Expected::read(root.path().join("model.safetensors"));
            let theirs = Expected::read(dir(family).join("model.safetensors"));
            let mut names =
                theirs.file().names().into_iter().map(str::to_owned).collect::<Vec<_>>();
            names.sort_unstable();
            for name in names {
                if name.starts_with("pooler.") && !ours.has(&name) {
                    continue;
                }
                assert_eq!(ours.shape(&name), theirs.shape(&name), "{family} {name}");
                assert_eq!(ours.floats(&name), theirs.floats(&name), "{family} {name}");
            }
        }
    }
}

#[test]
fn short_types_and_pickles_are_read() {
    let device = Device::flex();
    let e = expected("bert");
    for (file, name, tolerance) in [
        ("float16.safetensors", "model.safetensors", 2e-2),
        ("bfloat16.safetensors", "model.safetensors", 0.2),
        ("pytorch_model.bin", "pytorch_model.bin", 2e-5),
    ] {
        let root = tempfile::tempdir().unwrap();
        for (from, to) in [("config.json", "config.json"), (file, name)] {
            std::fs::copy(dir("bert").join(from), root.path().join(to)).unwrap();
        }
        let model = Checkpoint::open(root.path()).unwrap().load(&device).unwrap();
        let difference = hidden_gap(&model, &e);
        assert!(difference < tolerance, "{file}: {difference}");
    }
}

#[test]
fn padding_changes_nothing() {
    let device = Device::flex();
    for family in FAMILIES {
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::Last] {
            let checkpoint = open(family).with_config(|c| c.with_pooling(pooling)).unwrap();
            let model = checkpoint.load(&device).unwrap();
            let batch = expected(family).batch(false, &device);
            let together = values(model.encode(&batch));
            let lengths = values(batch.weights.clone().sum_dim(1));
            for (row, &length) in lengths.iter().enumerate() {
                let cut = |x: Tensor<2>| x.narrow(0, row, 1).narrow(1, 0, length as usize);
                let alone = TextBatch {
                    ids: batch.ids.clone().narrow(0, row, 1).narrow(1, 0, length as usize),
                    weights: cut(batch.weights.clone()),
                    types: None,
                };
                let alone = values(model.encode(&alone));
                let width = alone.len();
                let padded = &together[row * width..(row + 1) * width];
                let difference = gap(&alone, padded, &[1.0]);
                assert!(difference < 1e-5, "{family} {pooling:?} row {row}: {difference}");
            }
        }
    }
}

#[test]
fn a_text_without_tokens_is_finite() {
    let device = Device::flex();
    for family in FAMILIES {
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::Last] {
            let checkpoint = open(family).with_config(|c| c.with_pooling(pooling)).unwrap();
            let mut batch = expected(family).batch(false, &device);
            batch.weights = batch.weights.clone() * 0.0;
            let vectors = values(checkpoint.load(&device).unwrap().encode(&batch));
            assert!(vectors.iter().all(|v| v.is_finite()), "{family} {pooling:?}");
        }
    }
}

/// Copies the BERT fixture, lets `change` spoil it, and gives the error.
fn spoiled(change: impl FnOnce(&std::path::Path)) -> String {
    let root = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(dir("bert").join(name), root.path().join(name)).unwrap();
    }
    change(root.path());
    let result = Checkpoint::open(root.path()).and_then(|c| c.load(&Device::flex()));
    result.map(|_| ()).unwrap_err().to_string()
}

fn edit(dir: &std::path::Path, from: &str, to: &str) {
    let path = dir.join("config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn bad_files_are_errors_that_name_file_and_field() {
    let has = |error: &str, parts: &[&str]| {
        for part in parts {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    };
    let e = spoiled(|d| edit(d, "\"hidden_size\": 16", "\"hidden_size\": 32"));
    has(&e, &["model.safetensors", "word_embeddings.weight", "[50, 16]", "[50, 32]"]);
    let e = spoiled(|d| edit(d, "\"vocab_size\": 50", "\"vocab_size\": 60"));
    has(&e, &["word_embeddings.weight", "[60, 16]"]);
    let e = spoiled(|d| edit(d, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"));
    has(&e, &["16 missing and 0 unexpected", "encoder.layer.2"]);
    let e = spoiled(|d| edit(d, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"));
    has(&e, &["0 missing and 16 unexpected", "encoder.layer.1"]);
    let e = spoiled(|d| edit(d, "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"swish\""));
    has(&e, &["config.json", "hidden_act", "swish"]);
    let e = spoiled(|d| edit(d, "\"hidden_size\"", "\"hidden_dize\""));
    has(&e, &["config.json", "hidden_size: missing"]);
    let e = spoiled(|d| edit(d, "\"num_attention_heads\": 4", "\"num_attention_heads\": 5"));
    has(&e, &["config.json", "num_attention_heads = 5"]);
    let e = spoiled(|d| edit(d, "\"model_type\": \"bert\"", "\"model_type\": \"t5\""));
    has(&e, &["config.json", "model_type", "t5", "distilbert"]);
    let e = spoiled(|d| std::fs::write(d.join("config.json"), "{").unwrap());
    has(&e, &["config.json"]);
    let e = spoiled(|d| std::fs::remove_file(d.join("config.json")).unwrap());
    has(&e, &["config.json"]);
    let e = spoiled(|d| std::fs::remove_file(d.join("model.safetensors")).unwrap());
    has(&e, &["model.safetensors"]);
}

#[test]
fn a_file_cut_off_or_with_a_false_length_is_refused() {
    let bytes = std::fs::read(dir("bert").join("model.safetensors")).unwrap();
    let with =
        |bytes: Vec<u8>| spoiled(|d| std::fs::write(d.join("model.safetensors"), &bytes).unwrap());
    for length in [0, 4, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        let error = with(bytes[..length].to_vec());
        assert!(error.contains("model.safetensors"), "{length}: {error}");
    }
    // A header that claims 2⁶⁰ bytes must not be allocated.
    for claimed in [1u64 << 60, u64::MAX, bytes.len() as u64 * 2] {
        let mut false_length = bytes.clone();
        false_length[..8].copy_from_slice(&claimed.to_le_bytes());
        assert!(with(false_length).contains("model.safetensors"));
    }
    let pickle = std::fs::read(dir("bert").join("pytorch_model.bin")).unwrap();
    for length in [0, 10, pickle.len() / 2] {
        let error = spoiled(|d| {
            std::fs::remove_file(d.join("model.safetensors")).unwrap();
            std::fs::write(d.join("pytorch_model.bin"), &pickle[..length]).unwrap();
        });
        assert!(error.contains("pytorch_model.bin"), "{length}: {error}");
    }
}

#[test]
fn bad_configurations_are_named() {
    let bad = |change: fn(&mut TransformerConfig)| {
        let mut config = TransformerConfig::default();
        change(&mut config);
        config.init(&Device::flex()).unwrap_err().to_string()
    };
    let heads = bad(|c| c.num_attention_heads = 5);
    assert_eq!(heads, "num_attention_heads = 5 is outside divisors of hidden_size");
    assert_eq!(bad(|c| c.hidden_dropout_prob = 1.0), "hidden_dropout_prob = 1 is outside [0, 1)");
    assert!(bad(|c| c.layer_norm_eps = f64::NAN).contains("layer_norm_eps"));
    assert!(bad(|c| c.pad_token_id = 8192).contains("pad_token_id"));
    let pooler = open("gpt2").with_config(|c| c.with_pooling(Pooling::Pooler)).unwrap_err();
    assert!(matches!(pooler, Error::Unsupported { name: "pooling", .. }), "{pooler}");
}
